import ComputationGraph
import Datasets
import Testing

@testable import Engine

extension GateTests {
    /// Gate derivatives and weight criteria on the bundled models, held to PyTorch's in double precision.
    @Suite struct GateReferenceTests {
        /// The bundled models are trained until their losses nearly vanish; single precision keeps this much of the rest.
        let tolerance = 1e-4

        @Test(arguments: GateReference.names)
        func gradientsAgreeWithPyTorch(_ name: String) throws {
            let reference = try GateReference.named(name)
            let all = Array(0..<reference.samples)
            let found = try GateReference.evaluator(name, reference).gradients(
                samples: all, weights: all.map { _ in 1 })
            let totals = found.totals.map { ($0 ?? .nan) / Double(reference.samples) }
            #expect(distance(totals, reference.gradients) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func perSampleGradientsComeFromTheSamePass(_ name: String) throws {
            let reference = try GateReference.named(name)
            let all = Array(0..<reference.samples)
            let found = try GateReference.evaluator(name, reference).gradients(
                samples: all, weights: all.map { _ in 1 })
            let columns = try #require(found.perSample).map { $0 ?? [] }
            #expect(distance(Array(columns.joined()), Array(reference.perSample.joined())) < tolerance)
            let fisher = columns.map { $0.reduce(0) { $0 + $1 * $1 } / Double(2 * reference.samples) }
            #expect(distance(fisher, reference.fisher) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func hessianAgreesWithPyTorch(_ name: String) throws {
            let reference = try GateReference.named(name)
            let all = Array(0..<reference.samples)
            let found = try GateReference.evaluator(name, reference).hessian(
                samples: all, weights: all.map { _ in 1 / Float(reference.samples) })
            #expect(distance(Array(found.matrix.joined()), Array(reference.hessian.joined())) < tolerance)
            #expect(distance(found.gradient.map { $0 ?? .nan }, reference.gradients) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func gaussNewtonAgreesWithPyTorch(_ name: String) throws {
            let reference = try GateReference.named(name)
            let all = Array(0..<reference.samples)
            let found = try GateReference.evaluator(name, reference).gaussNewton(
                samples: all, weights: all.map { _ in 1 / Float(reference.samples) })
            #expect(distance(Array(found.matrix.joined()), Array(reference.gaussNewton.joined())) < tolerance)
            #expect(distance(found.gradient.map { $0 ?? .nan }, reference.gradients) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func hessianProductIsTheHessianTimesTheVector(_ name: String) throws {
            let reference = try GateReference.named(name)
            let all = Array(0..<reference.samples)
            let vector = reference.edges.indices.map { Double($0 % 3) - 1 }
            let found = try GateReference.evaluator(name, reference).hessianProduct(
                vector, samples: all, weights: all.map { _ in 1 / Float(reference.samples) })
            let expected = reference.hessian.map { row in zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 } }
            #expect(distance(found, expected) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func blocksAddUpToTheWhole(_ name: String) throws {
            let reference = try GateReference.named(name)
            let evaluator = try GateReference.evaluator(name, reference)
            var sums = reference.edges.map { _ in 0.0 }
            for block in [Array(0..<20), Array(20..<reference.samples)] {
                let found = try evaluator.gradients(samples: block, weights: block.map { _ in 1 })
                for (index, total) in found.totals.enumerated() {
                    sums[index] += (total ?? .nan) / Double(reference.samples)
                }
            }
            #expect(distance(sums, reference.gradients) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func codingRatesAgreeWithNumPy(_ name: String) throws {
            let reference = try GateReference.named(name)
            let found = try GateReference.evaluator(name, reference).codingRates(
                samples: Array(0..<reference.samples))
            #expect(distance(found.map { $0 ?? .nan }, reference.flow) < tolerance)
        }

        @Test(arguments: GateReference.names)
        func weightCriteriaAgreeWithPyTorch(_ name: String) throws {
            let reference = try GateReference.named(name)
            let network = try GateReference.network(name)
            let dataset = try GateReference.dataset(name, graph: network.graph, limit: 1)
            let edges = reference.edges.compactMap(Edge.init)
            let saliency = try WeightSaliency(network, dataset: dataset)
            #expect(distance(try saliency.magnitudes(of: edges), reference.magnitude) < 1e-6)
            #expect(
                distance(try saliency.synapticFlow(of: edges).map { $0 ?? .nan }, reference.synflow)
                    < tolerance)
        }

        @Test(arguments: GateReference.names)
        func exactChangesAgreeWithPyTorch(_ name: String) throws {
            let reference = try GateReference.named(name)
            let network = try GateReference.network(name)
            let evaluator = try Evaluator(
                network, dataset: GateReference.dataset(name, graph: network.graph, limit: reference.samples),
                loss: .crossEntropy)
            let edges = reference.edges.compactMap(Edge.init)
            let scores = try evaluator.evaluate(
                state: .empty, samples: Array(0..<reference.samples),
                expansions: [nil] + edges.map { Unit($0) })
            let means = scores.map { $0.losses.reduce(0) { $0 + Double($1) } / Double(reference.samples) }
            #expect(distance(means.dropFirst().map { $0 - means[0] }, reference.changes) < tolerance)
        }
    }
}
