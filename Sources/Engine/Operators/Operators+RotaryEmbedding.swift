internal import ONNX
internal import Torch

extension Operators {
    /// RotaryEmbedding: X (N, H, L, D) or (N, L, H·D), cosines and sines, and the positions to look them up by.
    /// Su et al., "RoFormer", 2021, equation 34; pairs are neighbours where `interleaved`, else half a head apart.
    static func rotaryEmbedding(_ context: OperatorContext) throws -> Kernel {
        let isInterleaved = try context.flag("interleaved")
        let rotated = try context.node.int("rotary_embedding_dim", default: 0)
        let heads = try context.node.int("num_heads", default: 0)
        return { inputs in
            let x = try context.required(inputs, 0)
            // As (N, L, H, D).
            let split: Tensor
            switch x.rank {
            case 4: split = try x.permuted([0, 2, 1, 3])
            case 3:
                guard heads > 0, x.shape[2] % heads == 0 else {
                    throw context.error("an input of shape \(x.shape) in \(heads) heads")
                }
                split = try x.reshaped([x.shape[0], x.shape[1], heads, x.shape[2] / heads])
            default: throw context.error("an input of shape \(x.shape)")
            }
            let size = split.shape[3]
            let width = rotated == 0 ? size : rotated
            guard width % 2 == 0, (0...size).contains(width) else {
                throw context.error("\(width) of \(size) numbers of a head do not make pairs")
            }
            let positions = context.optional(inputs, 3)
            func table(_ slot: Int) throws -> Tensor {
                var table = try context.required(inputs, slot)
                if let positions {
                    guard table.rank == 2 else { throw context.error("a table of shape \(table.shape)") }
                    table = try table.gathering(0, positions.reshaped([-1]).countedFromStart(table.shape[0]))
                        .reshaped(positions.shape + [table.shape[1]])
                }
                guard table.rank == 3, table.shape[2] == width / 2 else {
                    throw context.error(
                        "a table of shape \(table.shape) for \(width / 2) pairs of each head")
                }
                return try table.unsqueezed(2)
            }
            let (cosines, sines) = (try table(1), try table(2))
            let turned = try split.narrowed(3, from: 0, length: width)
            let pairs = try turned.reshaped(
                Array(turned.shape.dropLast()) + (isInterleaved ? [width / 2, 2] : [2, width / 2]))
            let axis = isInterleaved ? 4 : 3
            let (first, second) = (try pairs.selecting(axis, at: 0), try pairs.selecting(axis, at: 1))
            let result = try Tensor.stacked(
                [first * cosines - second * sines, first * sines + second * cosines], along: axis
            ).reshaped(turned.shape)
            let whole = try Tensor.concatenated(
                width == size ? [result] : [result, split.narrowed(3, from: width, length: size - width)],
                along: 3)
            return [try x.rank == 4 ? whole.permuted([0, 2, 1, 3]) : whole.reshaped(x.shape)]
        }
    }
}
