import ComputationGraph
import Datasets
import ONNX
import Testing

@testable import Engine

/// Removals after which some weights behind the cut compute what the unpruned model computes. With all rows and no ridge, the
/// fit has to find such weights.
@Suite("A removal that is linearly recoverable is recovered to rounding")
struct RecoverableRemovalTests {
    enum Removal: CaseIterable {
        /// f(x) + f(x): what follows has to double its weights.
        case doubled
        /// Concat(f(x), f(x)): what reads the copy that is left has to do the work of both.
        case concatenated
        /// x + f(x) with f = 0.
        case identity
        /// x + x, through a convolution or a matrix that does nothing.
        case skip
        /// s + W·s with s = x + f(x): what follows has to take up 1 + W.
        case linearBlock
    }

    /// What reads the value that the removal changes.
    enum Reader: CaseIterable {
        /// A linear layer.
        case linear
        /// z + G·z: the skip passes on what is missing, and G has to make the sum whole.
        case residual
        /// z + factor · G·z + offset.
        case scaledResidual
    }

    private struct Case {
        let subject: RecoverySubject
        let mask: Mask
        let fresh: Dataset
    }

    private func make(_ kind: RandomNetwork.Kind, _ removal: Removal, _ reader: Reader, seed: UInt64) throws
        -> Case
    {
        let channels = 2 + Int(seed % 3)
        var network = RandomNetwork(kind, channels: channels, seed: seed)
        let start = network.add("Relu", [try network.linear("x")])
        let depth = Int(seed / 3 % 2)
        var value: String
        let cut: Edge
        let first = network.count
        switch removal {
        case .doubled:
            let body = try network.body(start, depth: depth)
            let twin = try network.copy(of: body, reading: start, from: first)
            value = network.add("Add", [body, twin])
            cut = network.edge(into: value, Int(seed % 2))
        case .concatenated:
            let body = try network.body(start, depth: depth)
            let twin = try network.copy(of: body, reading: start, from: first)
            value = network.add(
                "Concat", [body, twin], channels: 2 * channels,
                AttributeProto(name: "axis", int: kind == .image ? 1 : -1))
            cut = network.edge(into: value, Int(seed % 2))
        case .identity:
            let inner = network.add("Relu", [try network.linear(start)])
            value = network.add("Add", [try network.linear(inner, hasBias: false, scale: 0), start])
            cut = network.edge(into: value, 0)
        case .skip:
            let body = try network.body(start, depth: depth)
            value = network.add("Add", [network.add("Identity", [body]), body])
            cut = network.edge(into: value, Int(seed % 2))
        case .linearBlock:
            let sum = network.add("Add", [try network.body(start, depth: depth), start])
            value = network.add("Add", [try network.linear(sum, hasBias: false, kernel: 1), sum])
            cut = network.edge(into: value, 0)
        }
        switch reader {
        case .linear: value = try network.linear(value, to: channels)
        case .residual, .scaledResidual:
            var body = try network.linear(value)
            let width = removal == .concatenated ? 2 * channels : channels
            if reader == .scaledResidual {
                let shape = kind == .image ? [width, 1, 1] : [width]
                body = network.add(
                    "Mul", [body, try network.constant((0..<width).map { Float($0) / 2 - 1.25 }, shape)])
                body = network.add("Add", [try network.weight(shape, scale: 1), body])
            }
            value = network.add("Add", [value, body])
        }
        // More layers, whose input is whole again.
        value = network.add("Relu", [value])
        value = network.add("Sigmoid", [try network.linear(value, to: 3)])
        let graph = try network.graph(value)
        let subject = try RecoverySubject(graph, [("x", network.samples(kind == .vector ? 150 : 40))])
        let fresh = try Dataset([("x", network.samples(20))], inputs: graph.inputs)
        return Case(subject: subject, mask: Mask([cut]), fresh: fresh)
    }

    private func distance(_ left: [Float], _ right: [Float]) -> Float {
        zip(left, right).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    @Test(
        "in random networks of every kind, on the samples of the fit and on others",
        arguments: RandomNetwork.Kind.allCases, Removal.allCases)
    func isRecovered(kind: RandomNetwork.Kind, removal: Removal) throws {
        var changed = 0
        for seed in 0..<4 as Range<UInt64> {
            for reader in Reader.allCases {
                let made = try make(kind, removal, reader, seed: 100 + seed)
                let refit = try made.subject.refit(made.mask, .exact(ridge: 0))
                let text = "seed \(seed), \(reader)"
                for data in [made.subject.dataset, made.fresh] {
                    let whole = try made.subject.outputs(of: data)
                    let fitted = try made.subject.outputs(made.mask, refit, of: data)
                    #expect(distance(whole, fitted) <= 1e-4, "\(text): \(distance(whole, fitted))")
                    if distance(whole, try made.subject.outputs(made.mask, of: data)) > 1e-3 { changed += 1 }
                }
            }
        }
        // In a few networks what is removed is 0 anyway; a block that does nothing changes nothing.
        #expect(removal == .identity ? changed == 0 : changed > 16, "\(changed) of 24 cuts change something")
    }
}
