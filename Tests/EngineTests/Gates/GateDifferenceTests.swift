import ComputationGraph
import Testing
import Torch

@testable import Engine

extension GateTests {
    /// Gate derivatives held to differences of the loss itself, in double precision: needs no reference but the forward
    /// pass.
    @Suite struct GateDifferenceTests {
        /// The mean loss of the vision transformer (all its layers are smooth) with its gates set to `gates`.
        private struct DoubleModel {
            let evaluator: GateEvaluator
            let model: Specialisation
            let inputs: [Tensor]
            let samples: [Int]

            init(_ reference: GateReference, samples: Int) throws {
                evaluator = try GateReference.evaluator("digits-vit", reference)
                self.samples = Array(0..<samples)
                let graph = evaluator.network.graph
                inputs = try evaluator.inputs(self.samples).map { try $0.converted(to: .float64) }
                model = try Specialisation(
                    graph: graph,
                    weights: graph.values.map { value in
                        try value.constant.map {
                            let tensor = try Tensor($0)
                            return tensor.scalarType.isFloatingPoint
                                ? try tensor.converted(to: .float64) : tensor
                        }
                    }, inputs: inputs)
            }

            func block(_ gates: [Double], under state: Mask = .empty) throws -> GatedBlock {
                try GatedBlock(
                    Activations(model, inputs: inputs),
                    gates: Gates(
                        on: evaluator.edges, axes: evaluator.edges.map { _ in nil }, samples: samples.count,
                        values: gates,
                        type: .float64), state: state, terms: evaluator.terms,
                    compared: evaluator.terms.block(samples) { [] })
            }

            func loss(_ gates: [Double], under state: Mask = .empty) throws -> Double {
                try block(gates, under: state).losses.elements(as: Double.self).reduce(0, +)
                    / Double(samples.count)
            }
        }

        @Test func gradientsAndHessianAgreeWithFiniteDifferences() throws {
            let reference = try GateReference.named("digits-vit")
            let model = try DoubleModel(reference, samples: 8)
            let weights = model.samples.map { _ in 1 / Float(model.samples.count) }
            let found = try model.evaluator.hessian(samples: model.samples, weights: weights)
            let step = 1e-3
            // Edges of the first and of the last block, and one between.
            let chosen = [0, 7, 19, model.evaluator.edges.count - 1]
            func loss(_ moves: [(Int, Double)]) throws -> Double {
                var gates = model.evaluator.edges.map { _ in 1.0 }
                for (index, move) in moves { gates[index] += move * step }
                return try model.loss(gates)
            }
            let center = try loss([])
            var slopes: [Double] = []
            var curvatures: [Double] = []
            for index in chosen {
                let (up, down) = (try loss([(index, 1)]), try loss([(index, -1)]))
                slopes.append((up - down) / (2 * step))
                curvatures.append((up - 2 * center + down) / (step * step))
            }
            let mixed =
                try loss([(0, 1), (7, 1)]) - loss([(0, 1), (7, -1)]) - loss([(0, -1), (7, 1)])
                + loss([(0, -1), (7, -1)])
            curvatures.append(mixed / (4 * step * step))
            #expect(distance(chosen.map { found.gradient[$0] ?? .nan }, slopes) < 1e-4)
            #expect(distance(chosen.map { found.matrix[$0][$0] } + [found.matrix[0][7]], curvatures) < 1e-4)
        }

        /// The gradients are those of the model that is left: differences of its loss say the same.
        @Test func gradientsOfAPrunedModelAgreeWithFiniteDifferences() throws {
            let reference = try GateReference.named("digits-vit")
            let model = try DoubleModel(reference, samples: 8)
            let network = model.evaluator.network
            let edges = model.evaluator.edges
            let candidates = try Candidates(of: network.graph, selection: .branches)
            let state = Mask([Unit(edges[3]), Unit(edges[edges.count - 4])])
            let left = candidates.expansions(of: state, in: network.graph).map(\.edge).filter(edges.contains)
            #expect(left.count > 10)
            let pruned = try GateEvaluator(
                network, dataset: model.evaluator.dataset, loss: .crossEntropy, edges: left, state: state)
            let weights = model.samples.map { _ in 1 / Float(model.samples.count) }
            let found = try pruned.hessian(samples: model.samples, weights: weights)
            let step = 1e-3
            let chosen = [0, 5, left.count - 1]
            func loss(_ edge: Edge, _ move: Double) throws -> Double {
                var gates = edges.map { _ in 1.0 }
                if let index = edges.firstIndex(of: edge) { gates[index] += move * step }
                return try model.loss(gates, under: state)
            }
            var (slopes, curvatures): ([Double], [Double]) = ([], [])
            for index in chosen {
                let (down, center, up) = (
                    try loss(left[index], -1), try loss(left[index], 0), try loss(left[index], 1)
                )
                slopes.append((up - down) / (2 * step))
                curvatures.append((up - 2 * center + down) / (step * step))
            }
            #expect(distance(chosen.map { found.gradient[$0] ?? .nan }, slopes) < 1e-4)
            #expect(distance(chosen.map { found.matrix[$0][$0] }, curvatures) < 1e-4)
            // They are not those of the whole model.
            let whole = try model.evaluator.gradients(samples: model.samples, weights: weights)
            let same = left.map { edge in edges.firstIndex(of: edge).flatMap { whole.totals[$0] } ?? .nan }
            #expect(distance(found.gradient.map { $0 ?? .nan }, same) > 1e-2)
        }

        @Test func openGatesChangeNoBitOfTheOutputs() throws {
            for name in GateReference.names {
                let reference = try GateReference.named(name)
                let evaluator = try GateReference.evaluator(name, reference)
                let samples = Array(0..<8)
                let inputs = try evaluator.inputs(samples)
                var activations = try evaluator.activations(of: inputs)
                let output = evaluator.network.graph.outputs[0].value
                try activations.compute([output], recording: Activations.Recording(gates: Gates()))
                let plain = try #require(activations[output])
                let gated = try evaluator.block(samples, axes: evaluator.edgeAxes).outputs[0]
                #expect(try plain.bytes() == gated.bytes())
            }
        }

        @Test func divergenceFromItselfHasItsCurvatureInGaussNewton() throws {
            // At the full model the divergence is 0 and smallest: its gradient vanishes, and its Hessian is the Fisher
            // information, which is the Gauss-Newton matrix (Martens, "New insights and perspectives on the natural
            // gradient method", 2020, section 9).
            let reference = try GateReference.named("digits-vit")
            let evaluator = try GateReference.evaluator("digits-vit", reference, loss: .klDivergence)
            let samples = Array(0..<8)
            let hessian = try evaluator.hessian(samples: samples, weights: samples.map { _ in 1 })
            let gaussNewton = try evaluator.gaussNewton(samples: samples, weights: samples.map { _ in 1 })
            #expect(distance(Array(hessian.matrix.joined()), Array(gaussNewton.matrix.joined())) < 1e-4)
            let largest = hessian.matrix.joined().reduce(0) { max($0, $1.magnitude) }
            #expect(hessian.gradient.allSatisfy { ($0 ?? .nan).magnitude < 1e-4 * largest })
        }
    }
}
