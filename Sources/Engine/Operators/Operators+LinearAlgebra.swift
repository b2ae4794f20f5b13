internal import ONNX
internal import Torch

private let addProduct = Operation("aten::addmm")
private let matrixProduct = Operation("aten::mm")
private let product = Operation("aten::matmul")
private let stackProduct = Operation("aten::bmm")
private let einsum = Operation("aten::einsum")
private let determinant = Operation("aten::det")

extension Operators {
    /// Products of matrices and tensors.
    nonisolated(unsafe) static let linearAlgebra = OperatorFamily(
        [
            "Gemm": gemm,
            "MatMul": { context in
                { inputs in
                    let (left, right) = (try context.required(inputs, 0), try context.required(inputs, 1))
                    guard left.rank > 0 && right.rank > 0 else {
                        throw context.error("an input without dimensions")
                    }
                    return [try multiplied(left, right)]
                }
            },
            "Einsum": { context in
                let equation = try context.node.string("equation")
                return { inputs in
                    let tensors = try inputs.indices.map { try context.required(inputs, $0) }
                    return [try einsum(.string(equation), .tensors(tensors))]
                }
            },
            "Det": { context in
                { inputs in [try determinant(.tensor(context.required(inputs, 0)))] }
            },
        ],
        operands: [.numbers: ["Einsum", "Gemm", "MatMul"], .reals: ["Det"]])

    /// The product of two tensors, as NumPy's matmul.
    ///
    /// Attention multiplies transposed views. Where both operands are stacks of matrices each is laid out, if it has to
    /// be, along the dimension in which its elements are neighbours, and the BLAS is told about the transposition.
    /// libtorch would write the transpose out, which takes longer than the product.
    private static func multiplied(_ left: Tensor, _ right: Tensor) throws -> Tensor {
        let batch = left.shape.dropLast(2)
        guard left.rank >= 3, batch == right.shape.dropLast(2), left.scalarType == .float32,
            right.scalarType == .float32, left.shape[left.rank - 1] == right.shape[right.rank - 2]
        else { return try product(.tensor(left), .tensor(right)) }
        let result = try stackProduct(.tensor(stack(left)), .tensor(stack(right)))
        return try result.reshaped(batch + [left.shape[left.rank - 2], right.shape[right.rank - 1]])
    }

    /// The matrices of a tensor (…, M, N) as (B, M, N).
    private static func stack(_ tensor: Tensor) throws -> Tensor {
        let rank = tensor.rank
        let (rows, columns) = (tensor.shape[rank - 2], tensor.shape[rank - 1])
        let count = tensor.shape.dropLast(2).reduce(1, *)
        let strides = tensor.strides
        guard strides[rank - 1] != 1, strides[rank - 2] == 1 else {
            return try tensor.reshaped([count, rows, columns])
        }
        return try tensor.transposed(rank - 2, rank - 1).reshaped([count, columns, rows]).transposed(1, 2)
    }

    /// Gemm: alpha·A'·B' + beta·C, where A' and B' are A and B or their transposes and C broadcasts.
    private static func gemm(_ context: OperatorContext) throws -> Kernel {
        let node = context.node
        let alpha = Double(try node.float("alpha", default: 1))
        let beta = Double(try node.float("beta", default: 1))
        let transposesA = try node.int("transA", default: 0) != 0
        let transposesB = try node.int("transB", default: 0) != 0
        return { inputs in
            let (givenA, givenB) = (try context.required(inputs, 0), try context.required(inputs, 1))
            guard givenA.rank == 2 && givenB.rank == 2 else {
                throw context.error("matrices of shapes \(givenA.shape) and \(givenB.shape)")
            }
            let a = transposesA ? try givenA.transposed(0, 1) : givenA
            let b = transposesB ? try givenB.transposed(0, 1) : givenB
            // Whole numbers are scaled by whole numbers.
            func factor(_ value: Double) throws -> Argument {
                if a.scalarType.isFloatingPoint { return .double(value) }
                guard let whole = Int(exactly: value) else {
                    throw context.error("integer matrices with the factor \(value)")
                }
                return .int(whole)
            }
            let c = context.optional(inputs, 2)
            // Where beta is 0 too: what is left when a and b are removed has to have its shape.
            if let c, case let shape = [a.shape[0], b.shape[1]], broadcastShape(c.shape, shape) != shape {
                throw context.error("a c of shape \(c.shape) does not fit a product of shape \(shape)")
            }
            guard let c, beta != 0 else {
                let result = try matrixProduct(.tensor(a), .tensor(b))
                return [alpha == 1 ? result : try scale(.tensor(result), factor(alpha))]
            }
            return [try addProduct(.tensor(c), .tensor(a), .tensor(b), factor(beta), factor(alpha))]
        }
    }
}

private let scale = Operation("aten::mul.Scalar")
