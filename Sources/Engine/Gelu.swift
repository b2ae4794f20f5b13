internal import ComputationGraph
internal import Torch

/// The five layers that GELU is exported as, x/2 · (1 + erf(x/√2)), computed as one.
///
/// Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016. Exporters write it out before opset 20; five passes over
/// the widest activation of a transformer become one. A mask that removes an edge between the five has them computed
/// one by one.
struct Gelu {
    /// How the last of the layers is computed together with the others.
    let form: Plan.Form

    /// The GELU whose last layer is `last`; `nil` where it is none, or something else reads what lies between.
    ///
    /// - Parameter constants: the tensors that are known before any data, by value.
    init?(endingIn last: Vertex, of graph: Graph, constants: [Tensor?]) {
        guard last.operation == "Mul" else { return nil }
        let pattern = Pattern(graph: graph, constants: constants)
        // x · (1 + erf(…)) · ½, x · ½ · (1 + erf(…)), or x · (½ · (1 + erf(…))).
        for whole in pattern.products(last, withConstant: 0.5) {
            guard let inner = pattern.producer(whole.value, "Mul") else { continue }
            for (slot, other) in [(0, 1), (1, 0)] {
                guard let error = pattern.error(inner.inputs[slot] ?? -1), inner.inputs[other] == error.input
                else { continue }
                self.init(
                    last, x: error.input,
                    joints: error.joints + [whole.edge]
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
                joints: error.joints + [product.edge] + [0, 1].map { Edge(node: last.index, slot: $0) })
            return
        }
        return nil
    }

    private init(_ last: Vertex, x: Int, joints: [Edge]) {
        form = Plan.Form(
            vertex: last.index,
            kernel: { inputs in
                guard let x = inputs[0] else { return [nil] }
                return [try gelu(.tensor(x))]
            }, inputs: [x], joints: joints)
    }
}

/// What the search for the layers looks things up in.
private struct Pattern {
    let graph: Graph
    let constants: [Tensor?]

    /// The vertex of kind `operation` that computes a value which one other vertex alone reads.
    func producer(_ value: Int, _ operation: String) -> Vertex? {
        guard graph.values.indices.contains(value), graph.consumers[value].count == 1,
            !graph.outputs.contains(where: { $0.value == value }), let index = graph.values[value].producer,
            graph.vertices[index].operation == operation
        else { return nil }
        return graph.vertices[index]
    }

    /// The operand that a vertex combines with a constant, and the edge that it comes through.
    func products(_ vertex: Vertex, withConstant number: Float) -> [(value: Int, edge: Edge)] {
        guard vertex.inputs.count == 2 else { return [] }
        return [(0, 1), (1, 0)].compactMap { slot, other in
            guard let value = vertex.inputs[slot], constants[value] == nil, let factor = vertex.inputs[other],
                isNumber(factor, number)
            else { return nil }
            return (value, Edge(node: vertex.index, slot: slot))
        }
    }

    /// x and the edges up from it, where a value is 1 + erf(x/√2).
    func error(_ value: Int) -> (input: Int, joints: [Edge])? {
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

    /// Whether a value is this number, but for the last bit.
    private func isNumber(_ value: Int, _ number: Float) -> Bool {
        guard let tensor = constants[value], tensor.count == 1, tensor.scalarType == .float32,
            let found = try? tensor.item(as: Float.self)
        else { return false }
        return abs(found - number) <= number.ulp
    }
}

private let gelu = Operation("aten::gelu")
