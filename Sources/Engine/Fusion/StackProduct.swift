internal import ComputationGraph
internal import ONNX
internal import Torch

/// The products of attention: two stacks of matrices that both depend on the data, of the same sizes but for the last two.
///
/// Matrices are read where they lie, transposed or not, so the views that heads are split by are never written out. A
/// factor after the product (1/√d) and a transposition after it that exchanges heads with rows, so that the heads lie
/// together again, cost nothing. A mask that removes an edge between the layers has them computed one by one.
struct StackProduct {
    /// How the last of the layers is computed together with the product.
    let form: Specialisation.Form

    /// The product that `last` is, or that it alone scales or transposes.
    init?(endingIn last: Vertex, _ pattern: Pattern) {
        switch last.operation {
        case "MatMul":
            self.init(last, pattern)
        case "Mul", "Div":
            for (slot, other) in last.operation == "Mul" ? [(0, 1), (1, 0)] : [(0, 1)] {
                guard last.inputs.count == 2, let value = last.inputs[slot],
                    let product = pattern.producer(value, "MatMul"),
                    let factor = pattern.number(last.inputs[other]),
                    let result = last.outputs[0], pattern.shapes[result] == pattern.shapes[value]
                else { continue }
                let scale = last.operation == "Mul" ? Double(factor) : 1 / Double(factor)
                guard scale.isNormal else { continue }
                self.init(
                    product, pattern, scale: scale, fusedEdges: [Edge(node: last.index, slot: slot)])
                return
            }
            return nil
        case "Transpose":
            guard let product = last.inputs[0].flatMap({ pattern.producer($0, "MatMul") }),
                let order = try? last.node.ints("perm"), order.count >= 4
            else { return nil }
            var swapped = Array(order.indices)
            swapped.swapAt(order.count - 3, order.count - 2)
            guard order == swapped else { return nil }
            self.init(
                product, pattern, isSwapped: true, fusedEdges: [Edge(node: last.index, slot: 0)])
        default:
            return nil
        }
    }

    private init?(
        _ product: Vertex, _ pattern: Pattern, scale: Double = 1, isSwapped: Bool = false,
        fusedEdges: [Edge] = []
    ) {
        guard product.inputs.count == 2, let left = product.inputs[0], let right = product.inputs[1],
            let rows = pattern.shapes[left], let columns = pattern.shapes[right], rows.count >= 3,
            rows.dropLast(2) == columns.dropLast(2),
            ![left, right].contains(where: { pattern.graph.values[$0].hasDynamicShape }),
            !isSwapped || rows.count >= 4
        else { return nil }
        form = Specialisation.Form(
            vertex: product.index,
            kernel: { inputs in
                guard let left = inputs[0], let right = inputs[1] else { return [nil] }
                return [try multiplyStacks(.tensor(left), .tensor(right), .double(scale), .bool(isSwapped))]
            }, inputs: product.inputs, fusedEdges: fusedEdges)
    }
}

private let multiplyStacks = Operation("espalier::multiply_stacks")
