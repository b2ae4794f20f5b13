internal import ComputationGraph
internal import Torch

/// A product with a matrix of weights and the addition of a bias after it, computed as one: xW + b.
///
/// The bias is laid down first and the BLAS adds the product to it, which saves the pass that adds it afterwards. A mask
/// that removes the edge between the two has them computed one by one.
struct LinearLayer {
    /// How the addition is computed together with the product.
    let form: Specialisation.Form

    /// The layer whose addition is `addition`; `nil` where it is none, or something else reads the product.
    init?(endingIn addition: Vertex, _ pattern: Pattern) {
        guard addition.operation == "Add", addition.inputs.count == 2 else { return nil }
        for (slot, other) in [(0, 1), (1, 0)] {
            guard let product = addition.inputs[slot].flatMap({ pattern.producer($0, "MatMul") }),
                let bias = pattern.matrix(addition.inputs[other], rank: 1),
                let weight = pattern.matrix(product.inputs[1], rank: 2), let x = product.inputs[0],
                pattern.constants[x] == nil, (pattern.shapes[x]?.count ?? 0) >= 2,
                pattern.addedBiases[product.index] == nil,
                bias.shape[0] == weight.shape[1]
            else { continue }
            let columns = weight.shape[1]
            form = Specialisation.Form(
                vertex: product.index,
                kernel: { inputs in
                    guard let x = inputs[0] else { return [nil] }
                    let rows = try x.reshaped([x.count / max(weight.shape[0], 1), weight.shape[0]])
                    let result = try addProduct(.tensor(bias), .tensor(rows), .tensor(weight))
                    return [try x.rank == 2 ? result : result.reshaped(x.shape.dropLast() + [columns])]
                }, inputs: [x], fusedEdges: [Edge(node: addition.index, slot: slot)])
            return
        }
        return nil
    }
}

extension Pattern {
    /// The constant that a value is, where it has floating-point elements and `rank` dimensions.
    func matrix(_ value: Int?, rank: Int) -> Tensor? {
        guard let tensor = value.flatMap({ constants[$0] }), tensor.rank == rank,
            tensor.scalarType == .float32
        else { return nil }
        return tensor
    }
}

private let addProduct = Operation("aten::addmm")
