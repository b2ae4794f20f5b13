import ComputationGraph
import Datasets
import ONNX
import Testing

@testable import Engine

/// Data that say little or nothing: weights stay finite, or a layer stays as it is.
@Suite("Fits on poor data")
struct PoorFitDataTests {
    private static let recoveries = [
        Recovery([.leastSquares]), Recovery([.leastSquares], ridge: 0),
        Recovery([.leastSquares, .norm], ridge: 1e-3),
        Recovery([.norm]), Recovery.exact(ridge: nil),
    ]

    /// An operation, two residual blocks, the cut of the first one's body, and samples made of the numbers that a closure
    /// gives.
    private func subject(
        _ kind: RandomNetwork.Kind, samples: Int, operation: String = "Identity",
        _ number: (inout Seeded, Int) -> Float
    ) throws -> (subject: RecoverySubject, mask: Mask) {
        var network = RandomNetwork(kind, channels: 4, seed: 6)
        let start = try network.linear(network.add(operation, ["x"]))
        var value = network.add("Add", [try network.body(start, depth: 1), start])
        let cut = network.edge(into: value, 0)
        if kind != .image {
            let (scale, shift) = (try network.weight([4], scale: 2), try network.weight([4], scale: 1))
            value = network.add("LayerNormalization", [value, scale, shift])
        }
        value = network.add("Add", [try network.body(value, depth: 1), value])
        value = try network.linear(value)
        let graph = try network.graph(value)
        let shape = try network.samples(samples).shape
        var random = Seeded(1)
        let numbers = (0..<shape.reduce(1, *)).map { number(&random, $0) }
        return (
            try RecoverySubject(graph, [("x", NumpyArray(shape: shape, values: numbers))]), Mask([cut])
        )
    }

    private func expectFinite(_ refit: Refit, _ text: String) throws {
        for numbers in try Array(refit.weights.values) + Array(refit.biases.values) {
            #expect(numbers.allSatisfy { $0.isFinite }, "\(text)")
        }
    }

    @Test("all of whose samples are the same", arguments: RandomNetwork.Kind.allCases)
    func constantFeatures(kind: RandomNetwork.Kind) throws {
        for constant in [0, 1, -1000] as [Float] {
            let (subject, mask) = try subject(kind, samples: 20) { _, _ in constant }
            for recovery in Self.recoveries {
                let refit = try subject.refit(mask, recovery)
                try expectFinite(refit, "\(constant) \(recovery)")
                #expect(try subject.outputs(mask, refit).allSatisfy { $0.isFinite })
            }
        }
    }

    @Test("of fewer rows than a layer has features", arguments: RandomNetwork.Kind.allCases)
    func fewRows(kind: RandomNetwork.Kind) throws {
        for samples in [1, 2, 3] {
            let (subject, mask) = try subject(kind, samples: samples) { random, _ in
                Float.random(in: -1...1, using: &random)
            }
            for recovery in Self.recoveries {
                let refit = try subject.refit(mask, recovery)
                try expectFinite(refit, "\(samples) samples, \(recovery)")
                #expect(try subject.outputs(mask, refit).allSatisfy { $0.isFinite })
            }
        }
    }

    /// One number of a sample reaches every layer behind the cut: the logarithm of −1, or 1 divided by 0.
    @Test(
        "on which the model itself gives numbers that are not finite leave it as it is",
        arguments: [("Log", -1 as Float), ("Reciprocal", 0)], RandomNetwork.Kind.allCases)
    func notFinite(operation: (name: String, number: Float), kind: RandomNetwork.Kind) throws {
        let (subject, mask) = try subject(kind, samples: 20, operation: operation.name) { random, place in
            place == 3 ? operation.number : Float.random(in: 0.5...1.5, using: &random)
        }
        for recovery in [
            Recovery.exact(ridge: nil), .exact(ridge: 0), Recovery([.norm], rowsPerFeature: 1_000_000),
        ] {
            let refit = try subject.refit(mask, recovery)
            #expect(refit.layers.isEmpty && refit.changed.isEmpty && refit.addedBiases.isEmpty, "\(recovery)")
        }
    }

    @Test("of very different sizes keep weights finite", arguments: RandomNetwork.Kind.allCases)
    func sizes(kind: RandomNetwork.Kind) throws {
        let (subject, mask) = try subject(kind, samples: 20) { random, place in
            Float.random(in: -1...1, using: &random) * (place % 7 == 3 ? 1e18 : 1e-18)
        }
        for recovery in Self.recoveries { try expectFinite(subject.refit(mask, recovery), "\(recovery)") }
    }

    @Test("need a model that runs on them, and a recovery needs them")
    func missing() throws {
        let (subject, mask) = try subject(.vector, samples: 4) { random, _ in
            Float.random(in: -1...1, using: &random)
        }
        let evaluator = try Evaluator(
            subject.network, dataset: subject.dataset, loss: .selfMeanSquaredError)
        let variant = Variant(mask, recovery: Recovery([.leastSquares], ridge: 0.1))
        #expect(throws: EngineError.self) { try evaluator.refit(variant) }
        #expect(try evaluator.refit(Variant(mask)) == nil)
        #expect(try evaluator.refit(Variant(.empty, recovery: variant.recovery)) == nil)
        try evaluator.useFitData(named: [1]) { FitData(subject.dataset) }
        #expect(try evaluator.refit(variant)?.layers.isEmpty == false)
    }

    @Test("give what the same samples give that were sent as bytes")
    func sent() throws {
        let (subject, mask) = try subject(.tokens, samples: 12) { random, _ in
            Float.random(in: -1...1, using: &random)
        }
        let evaluator = try Evaluator(
            subject.network, dataset: subject.dataset, loss: .selfMeanSquaredError)
        let bytes = try FitData.encode(Array(0..<12), of: subject.dataset)
        try evaluator.useFitData(named: [1]) { try evaluator.fitData(encoded: bytes) }
        let recovery = Recovery([.leastSquares])
        let sent = try #require(try evaluator.refit(Variant(mask, recovery: recovery)))
        #expect(try RefitBits(sent) == RefitBits(subject.refit(mask, recovery)))
        #expect(throws: (any Error).self) { try evaluator.fitData(encoded: Array(bytes.dropLast(40))) }
    }
}
