import ComputationGraph
import Datasets
import ONNX
import Testing

@testable import Engine

@Suite("A fit is a pure function of the mask")
struct RefitterTests {
    /// Residual models of each kind, with biases in every other layer, a normalisation and a chain of sums.
    private static func small(_ kind: RandomNetwork.Kind) throws -> RecoverySubject {
        var network = RandomNetwork(kind, channels: 4, seed: 31)
        var value = try network.linear("x")
        for block in 0..<3 {
            var body = network.add("Relu", [try network.linear(value, hasBias: block != 1)])
            body = try network.linear(body, hasBias: block != 2)
            value = network.add("Add", [body, value])
            if block == 1 { value = network.add("Add", [try network.linear(value, hasBias: false), value]) }
        }
        if kind == .tokens {
            let (scale, shift) = (
                try network.constant([1, 0.5, 2, 1], [4]), try network.constant([0, 1, 0, -1], [4])
            )
            value = network.add("LayerNormalization", [value, scale, shift])
        }
        value = try network.linear(value)
        return try RecoverySubject(network.graph(value), [("x", network.samples(40))])
    }

    /// Random masks, each with a mask that it is an expansion of.
    private func masks(_ subject: RecoverySubject, _ count: Int, seed: UInt64) throws -> [(
        mask: Mask, state: Mask
    )] {
        let candidates = try Candidates(of: subject.graph, selection: .all)
        var random = Seeded(seed)
        return (0..<count).compactMap { number in
            var masks = [Mask.empty]
            for _ in 0...number % 4 {
                let last = masks[masks.count - 1]
                guard
                    let unit = candidates.expansions(of: last, in: subject.graph).randomElement(
                        using: &random)
                else { break }
                masks.append(last.removing(unit))
            }
            return masks.count > 1 ? (masks[masks.count - 1], masks[masks.count - 2]) : nil
        }
    }

    /// Every mask by a refitter that made others before, from its state, from none and from another mask, with much room
    /// and with none: the bits of one that made nothing else.
    private func expectPure(_ subject: RecoverySubject, _ recovery: Recovery, masks count: Int, seed: UInt64)
        throws
    {
        let (roomy, tight) = (
            try subject.refitter(recovery), try subject.refitter(recovery, budget: 0)
        )
        let masks = try masks(subject, count, seed: seed)
        #expect(masks.count > count / 2)
        var refitted = 0
        for (place, (mask, state)) in masks.enumerated() {
            let expected = try RefitBits(subject.refit(mask, recovery))
            if !expected.layers.isEmpty { refitted += 1 }
            let other = masks[(place + 1) % masks.count].mask
            #expect(try RefitBits(roomy.refit(mask, from: state)) == expected, "\(mask) from \(state)")
            #expect(try RefitBits(roomy.refit(mask, from: other)) == expected, "\(mask) from \(other)")
            #expect(try RefitBits(roomy.refit(mask)) == expected, "\(mask)")
            #expect(try RefitBits(tight.refit(mask, from: state)) == expected, "\(mask) without room")
            let known = try subject.refit(state, recovery)
            #expect(
                try RefitBits(subject.refitter(recovery).refit(mask, from: state, known: known)) == expected,
                "\(mask) from what is known of \(state)")
        }
        #expect(refitted > masks.count / 2)
    }

    @Test("in small models of every kind", arguments: RandomNetwork.Kind.allCases)
    func smallModels(kind: RandomNetwork.Kind) throws {
        let subject = try Self.small(kind)
        for (seed, recovery) in [
            Recovery([.leastSquares], ridge: 1e-3), Recovery([.leastSquares, .norm]),
        ].enumerated() {
            try expectPure(subject, recovery, masks: 12, seed: UInt64(seed))
        }
    }

    @Test("in the bundled models", arguments: ["digits-resnet", "digits-vit"])
    func bundledModels(model: String) throws {
        try expectPure(
            RecoverySubject(example: model, samples: 24), Recovery([.leastSquares], rowsPerFeature: 2),
            masks: 3,
            seed: 5)
    }

    @Test("what is known of a state is taken and not fitted again")
    func knownStates() throws {
        let subject = try Self.small(.image)
        var shared = 0
        for (mask, state) in try masks(subject, 12, seed: 3) where !state.isEmpty {
            let known = try subject.refit(state, Recovery([.leastSquares], ridge: 100))
            let refitter = try subject.refitter(Recovery([.leastSquares], ridge: 1e-3))
            // By another strength: a fit would give other weights.
            _ = try refitter.refit(mask, from: state, known: known)
            #expect(try RefitBits(refitter.refit(state)) == RefitBits(known), "\(state)")
            shared += known.layers.count
        }
        #expect(shared > 0)
    }

    /// The order of the samples decides sums and hashes; nothing else does.
    @Test("wherever the model is loaded")
    func otherNetworks() throws {
        let (one, other) = (try Self.small(.image), try Self.small(.image))
        for (mask, _) in try masks(one, 4, seed: 9) {
            let recovery = Recovery([.leastSquares])
            #expect(try RefitBits(one.refit(mask, recovery)) == RefitBits(other.refit(mask, recovery)))
        }
    }

    @Test(
        "whose weights, written into the graph, make the model that was measured",
        arguments: RandomNetwork.Kind.allCases)
    func written(kind: RandomNetwork.Kind) throws {
        let subject = try Self.small(kind)
        let layers = Dictionary(
            uniqueKeysWithValues: LinearMaps(of: subject.graph).maps.map { ($0.vertex, $0) })
        var added = 0
        for (mask, _) in try masks(subject, 6, seed: 2) {
            let refit = try subject.refit(mask, Recovery([.leastSquares], ridge: 1e-3))
            let biases = try refit.biases.sorted { $0.key < $1.key }.map {
                (layer: try #require(layers[$0.key]), elements: $0.value)
            }
            added += biases.count
            let graph = try subject.graph.refitted(refit.weights, biases: biases)
            let found = try RecoverySubject(
                graph, subject.dataset.inputNames.map { ($0, try #require(subject.dataset.arrays[$0])) }
            ).outputs(mask)
            let expected = try subject.outputs(mask, refit)
            let scale = expected.reduce(1e-6) { max($0, abs($1)) }
            let worst = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(found.count == expected.count && worst <= 1e-5 * scale, "\(mask): \(worst) of \(scale)")
        }
        #expect(added > 0)
    }
}
