internal import ComputationGraph
internal import ONNX
internal import Torch

/// The five layers that GELU is exported as, x/2 · (1 + erf(x/√2)), computed as one.
///
/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Exporters write it out before opset 20; five passes over
/// the widest activation of a transformer become one. A mask that removes an edge between the five has them computed
/// one by one. The vertex that opset 20 has for it is computed by the same kernel.
struct Gelu {
    /// How the last of the layers is computed together with the others.
    let form: Specialisation.Form

    /// The GELU whose last layer is `last`; `nil` where it is none, or something else reads what lies between.
    init?(endingIn last: Vertex, _ pattern: Pattern) throws {
        if last.operation == "Gelu", last.node.domain.isEmpty, let x = last.inputs[0],
            try last.node.string("approximate", default: "none") == "none"
        {
            self.init(last, x: x, fusedEdges: [])
            return
        }
        guard last.operation == "Mul" else { return nil }
        // x · (1 + erf(…)) · ½, x · ½ · (1 + erf(…)), or x · (½ · (1 + erf(…))).
        for whole in pattern.products(last, withConstant: 0.5) {
            guard let inner = pattern.producer(whole.value, "Mul") else { continue }
            for (slot, other) in [(0, 1), (1, 0)] {
                guard let error = pattern.error(inner.inputs[slot] ?? -1), inner.inputs[other] == error.input
                else { continue }
                self.init(
                    last, x: error.input,
                    fusedEdges: error.fusedEdges + [whole.edge]
                        + [0, 1].map { Edge(node: inner.index, slot: $0) })
                return
            }
        }
        for (slot, other) in [(0, 1), (1, 0)] {
            guard last.inputs.count == 2,
                let half = last.inputs[other].flatMap({ pattern.producer($0, "Mul") }),
                let product = pattern.products(half, withConstant: 0.5).first,
                let error = pattern.error(last.inputs[slot] ?? -1) ?? pattern.error(product.value),
                [product.value, last.inputs[slot]].contains(error.input)
            else { continue }
            self.init(
                last, x: error.input,
                fusedEdges: error.fusedEdges + [product.edge] + [0, 1].map { Edge(node: last.index, slot: $0) })
            return
        }
        return nil
    }

    private init(_ last: Vertex, x: Int, fusedEdges: [Edge]) {
        form = Specialisation.Form(
            vertex: last.index,
            kernel: { inputs in
                guard let x = inputs[0] else { return [nil] }
                return [try gelu(.tensor(x))]
            }, inputs: [x], fusedEdges: fusedEdges)
    }
}

extension Pattern {
    /// x and the edges up from it, where a value is 1 + erf(x/√2).
    fileprivate func error(_ value: Int) -> (input: Int, fusedEdges: [Edge])? {
        guard let sum = producer(value, "Add"), let one = products(sum, withConstant: 1).first,
            let erf = producer(one.value, "Erf"), let scaled = erf.inputs[0]
        else { return nil }
        let edges = [one.edge, Edge(node: erf.index, slot: 0)]
        if let quotient = producer(scaled, "Div"), let x = quotient.inputs[0], let root = quotient.inputs[1],
            constants[x] == nil, isNumber(root, Float(2).squareRoot())
        {
            return (x, edges + [Edge(node: quotient.index, slot: 0)])
        }
        if let product = producer(scaled, "Mul"),
            let operand = products(product, withConstant: Float(0.5).squareRoot()).first
        {
            return (operand.value, edges + [operand.edge])
        }
        return nil
    }
}

private let gelu = Operation("espalier::gelu")
