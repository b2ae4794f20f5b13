internal import ONNX
internal import Torch

private let gather = Operation("aten::gather")
private let lower = Operation("aten::tril")
private let upper = Operation("aten::triu")
private let equal = Operation("aten::eq.Tensor")
private let choose = Operation("aten::where.self")
private let select = Operation("aten::select.int")

/// Elements moved between dimensions, and parts of tensors kept or reversed.
extension Operators {
    nonisolated(unsafe) static let rearranging = OperatorFamily(
        [
            "DepthToSpace": depthToSpace,
            "OneHot": oneHot,
            "ReverseSequence": reverseSequence,
            "SpaceToDepth": spaceToDepth,
            "Trilu": { context in
                let keepsUpper = try context.flag("upper", default: true)
                let diagonal = try context.integers(in: 1)
                return { inputs in
                    let input = try context.required(inputs, 0)
                    let offset = try diagonal(inputs)?.first ?? 0
                    return [try (keepsUpper ? upper : lower)(.tensor(input), .int(offset))]
                }
            },
        ],
        traits: [
            "DepthToSpace": .init(since: 1),
            "SpaceToDepth": .init(since: 1),
        ])

    /// Beyond any image.
    private static let largestBlock = 1 << 16

    /// Which of the channel's factors the blocks are: the outer (depth first) or the inner (column first).
    private enum BlockOrder: String, CaseIterable {
        case depthColumnRow = "DCR"
        case columnRowDepth = "CRD"
    }

    private static func depthToSpace(_ context: OperatorContext) throws -> Kernel {
        let block = try context.node.int("blocksize")
        let order = try context.choice("mode", default: BlockOrder.depthColumnRow)
        return context.map { input in
            guard input.rank == 4, (1...largestBlock).contains(block), input.shape[1] % (block * block) == 0
            else {
                throw context.error("an input of shape \(input.shape) has no blocks of \(block) × \(block)")
            }
            let (batch, depth) = (input.shape[0], input.shape[1] / (block * block))
            let (height, width) = (input.shape[2], input.shape[3])
            let moved =
                order == .depthColumnRow
                ? try input.reshaped([batch, block, block, depth, height, width]).permuted([0, 3, 4, 1, 5, 2])
                : try input.reshaped([batch, depth, block, block, height, width]).permuted([0, 1, 4, 2, 5, 3])
            return try moved.reshaped([batch, depth, height * block, width * block])
        }
    }

    private static func spaceToDepth(_ context: OperatorContext) throws -> Kernel {
        let block = try context.node.int("blocksize")
        let order = try context.choice("mode", default: BlockOrder.depthColumnRow)
        return context.map { input in
            guard input.rank == 4, (1...largestBlock).contains(block), input.shape[2] % block == 0,
                input.shape[3] % block == 0
            else {
                throw context.error("an input of shape \(input.shape) has no blocks of \(block) × \(block)")
            }
            let (batch, depth) = (input.shape[0], input.shape[1])
            let (height, width) = (input.shape[2] / block, input.shape[3] / block)
            return try input.reshaped([batch, depth, height, block, width, block])
                .permuted(order == .depthColumnRow ? [0, 3, 5, 1, 2, 4] : [0, 1, 3, 5, 2, 4])
                .reshaped([batch, depth * block * block, height, width])
        }
    }

    private static func oneHot(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -1)
        let depth = try context.integers(in: 1, areTyped: false)
        return { inputs in
            let indices = try context.required(inputs, 0)
            let values = try context.required(inputs, 2)
            guard let depth = try depth(inputs)?.first, depth >= 0, values.shape == [2] else {
                throw context.error("it needs one depth and two values")
            }
            let axis = try context.axis(axis, rank: indices.rank + 1)
            var shape = indices.shape
            shape.insert(1, at: axis)
            let positions = try indices.countedFromStart(depth).reshaped(shape)
            let places = try Tensor.counting(to: depth).alongDimension(axis, rank: shape.count)
            let off = try select(.tensor(values), 0, 0)
            let on = try select(.tensor(values), 0, 1)
            return [
                try choose(.tensor(try equal(.tensor(positions), .tensor(places))), .tensor(on), .tensor(off))
            ]
        }
    }

    /// The first `sequence_lens[b]` steps of each batch entry backwards, the rest as they are.
    private static func reverseSequence(_ context: OperatorContext) throws -> Kernel {
        let batchAxis = try context.node.int("batch_axis", default: 1)
        let timeAxis = try context.node.int("time_axis", default: 0)
        let lengths = try context.integers(in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            let batchAxis = try context.axis(batchAxis, rank: input.rank)
            let timeAxis = try context.axis(timeAxis, rank: input.rank)
            guard batchAxis != timeAxis else { throw context.error("batch_axis and time_axis are the same") }
            let steps = input.shape[timeAxis]
            guard let lengths = try lengths(inputs), lengths.count == input.shape[batchAxis],
                lengths.allSatisfy({ (0...steps).contains($0) })
            else { throw context.error("sequence_lens does not fit an input of shape \(input.shape)") }
            let sources = lengths.flatMap { length in
                (0..<steps).map { $0 < length ? length - 1 - $0 : $0 }
            }
            var table = try Tensor(sources, shape: [lengths.count, steps])
            if timeAxis < batchAxis { table = try table.permuted([1, 0]) }
            var shape = [Int](repeating: 1, count: input.rank)
            (shape[batchAxis], shape[timeAxis]) = (lengths.count, steps)
            let indices = try table.reshaped(shape).expanded(input.shape)
            return [try gather(.tensor(input), .int(timeAxis), .tensor(indices))]
        }
    }
}
