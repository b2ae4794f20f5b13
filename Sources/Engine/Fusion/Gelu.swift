internal import ComputationGraph
internal import ONNX
internal import Torch

/// The layers that GELU is exported as, computed as one: x/2 · (1 + erf(x/√2)), or x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³))).
///
/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Exporters write it out before opset 20; five passes over
/// the widest activation of a transformer become one, or eight of the approximation. A mask that removes an edge between the
/// layers has them computed one by one. The vertex that opset 20 has for it is computed by the same kernel.
struct Gelu {
    /// How the last of the layers is computed together with the others.
    let form: Specialisation.Form

    /// The GELU whose last layer is `last`; `nil` where it is none, or something else reads what lies between.
    init?(endingIn last: Vertex, _ pattern: Pattern) throws {
        if last.operation == "Gelu", last.node.domain.isEmpty, let x = last.inputs[0],
            try last.node.string("approximate", default: "none") == "none"
        {
            self.init(last, x: x, fusedEdges: [], pattern)
            return
        }
        guard last.operation == "Mul" else { return nil }
        if let (x, edges) = pattern.approximateGelu(endingIn: last) {
            self.init(last, x: x, fusedEdges: edges, isApproximate: true, pattern)
            return
        }
        // x · (1 + erf(…)) · ½, x · ½ · (1 + erf(…)), or x · (½ · (1 + erf(…))).
        for whole in pattern.products(last, withConstant: 0.5) {
            guard let inner = pattern.producer(whole.value, "Mul") else { continue }
            for (slot, other) in [(0, 1), (1, 0)] {
                guard let error = pattern.error(inner.inputs[slot] ?? -1), inner.inputs[other] == error.input
                else { continue }
                self.init(
                    last, x: error.input,
                    fusedEdges: error.fusedEdges + [whole.edge]
                        + [0, 1].map { Edge(node: inner.index, slot: $0) }, pattern)
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
                fusedEdges: error.fusedEdges + [product.edge]
                    + [0, 1].map { Edge(node: last.index, slot: $0) }, pattern)
            return
        }
        return nil
    }

    private init(
        _ last: Vertex, x: Int, fusedEdges: [Edge], isApproximate: Bool = false, _ pattern: Pattern
    ) {
        // The own kernel is faster, and has no derivative.
        let exact = pattern.isRecorded ? approximateGelu : gelu
        form = Specialisation.Form(
            vertex: last.index,
            kernel: { inputs in
                guard let x = inputs[0] else { return [nil] }
                return [
                    try isApproximate ? approximateGelu(.tensor(x), .string("tanh")) : exact(.tensor(x))
                ]
            }, inputs: [x], fusedEdges: fusedEdges)
    }
}

extension Pattern {
    /// As few elements stay in the processor's cache from layer to layer, and gain little by fusing.
    private static let fewestElements = 1 << 18

    /// x and the edges up from it, where a vertex computes x/2 · (1 + tanh(√(2/π)(x + 0.044715 x³))).
    fileprivate func approximateGelu(endingIn last: Vertex) -> (input: Int, fusedEdges: [Edge])? {
        guard last.inputs.count == 2 else { return nil }
        for (slot, other) in [(0, 1), (1, 0)] {
            guard let half = last.inputs[slot].flatMap({ producer($0, "Mul") }),
                let product = products(half, withConstant: 0.5).first,
                let sum = last.inputs[other].flatMap({ producer($0, "Add") }),
                let one = products(sum, withConstant: 1).first, let tanh = producer(one.value, "Tanh"),
                let scaled = tanh.inputs[0].flatMap({ producer($0, "Mul") }),
                let factor = products(scaled, withConstant: (2 / Float.pi).squareRoot()).first,
                let inner = producer(factor.value, "Add"), inner.inputs.count == 2,
                let straight = [0, 1].first(where: { inner.inputs[$0] == product.value }),
                let cubic = inner.inputs[1 - straight].flatMap({ producer($0, "Mul") }),
                let term = products(cubic, withConstant: 0.044715).first,
                let power = producer(term.value, "Pow"), power.inputs[0] == product.value,
                let exponent = power.inputs[1], isNumber(exponent, 3),
                (shapes[product.value]?.reduce(1, *) ?? 0) >= Pattern.fewestElements,
                shapes[product.value] == last.outputs[0].flatMap({ shapes[$0] })
            else { continue }
            return (
                product.value,
                [product.edge, one.edge, factor.edge, term.edge, Edge(node: tanh.index, slot: 0)]
                    + [last, inner].flatMap {
                        [Edge(node: $0.index, slot: 0), Edge(node: $0.index, slot: 1)]
                    }
                    + [Edge(node: power.index, slot: 0)]
            )
        }
        return nil
    }

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
private let approximateGelu = Operation("aten::gelu")
