internal import ONNX
internal import Torch

private let gather = Operation("aten::gather")
private let select = Operation("aten::select.int")
private let index = Operation("aten::index.Tensor")
private let nonzero = Operation("aten::nonzero")

/// Elements picked by index.
extension Operators {
    nonisolated(unsafe) static let gathering: OperatorFamily = [
        "Compress": compress,
        "Gather": gatherSlices,
        "GatherElements": { context in
            try context.requireIntegers(1)
            let axis = try context.node.int("axis", default: 0)
            return context.map { input, indices in
                let axis = try context.axis(axis, rank: input.rank)
                let positions = try indices.countedFromStart(input.rank == 0 ? 1 : input.shape[axis])
                return try gather(.tensor(input), .int(axis), .tensor(positions))
            }
        },
        "GatherND": gatherTuples,
        // libtorch lists the positions row by row, ONNX dimension by dimension.
        "NonZero": { context in context.map { try nonzero(.tensor($0)).permuted([1, 0]) } },
    ]

    private static func gatherSlices(_ context: OperatorContext) throws -> Kernel {
        try context.requireIntegers(1)
        let given = try context.node.int("axis", default: 0)
        func place(_ input: Tensor) throws -> Int {
            guard input.rank > 0 else {
                throw context.error("a tensor without dimensions has nothing to gather")
            }
            return try context.axis(given, rank: input.rank)
        }
        if let constant = context.constant(1) {
            let positions = try constant.elements(as: Int.self)
            if constant.rank == 0, let position = positions.first {
                return context.map { input in
                    try select(.tensor(input), .int(try place(input)), .int(position))
                }
            }
            if positions.allSatisfy({ $0 >= 0 }) {
                let list = try Tensor(positions)
                return context.map { input in
                    let axis = try place(input)
                    let picked = try input.gathering(axis, list)
                    if constant.rank == 1 { return picked }
                    return try picked.reshaped(
                        Array(input.shape[..<axis]) + constant.shape + input.shape[(axis + 1)...])
                }
            }
        }
        return context.map { input, indices in
            let axis = try place(input)
            // Whole rows are copied fastest by one operator, single elements by another.
            if input.shape[(axis + 1)...].reduce(1, *) >= 8 {
                let positions = try indices.countedFromStart(input.shape[axis]).reshaped([indices.count])
                return try input.gathering(axis, positions).reshaped(
                    Array(input.shape[..<axis]) + indices.shape + input.shape[(axis + 1)...])
            }
            let positions = try indices.converted(to: .int64)
            return try index(
                .tensor(input), .optionalTensors([Tensor?](repeating: nil, count: axis) + [positions]))
        }
    }

    private static func gatherTuples(_ context: OperatorContext) throws -> Kernel {
        try context.requireIntegers(1)
        let batchRank = try context.node.int("batch_dims", default: 0)
        return context.map { input, indices in
            guard let width = indices.shape.last, batchRank >= 0, batchRank < indices.rank,
                batchRank + width <= input.rank
            else {
                throw context.error(
                    "indices of shape \(indices.shape) do not fit data of shape \(input.shape)")
            }
            let positions = try indices.converted(to: .int64)
            // Along the batch dimensions every tuple reads its own position.
            var tuple: [Tensor?] = try (0..<batchRank).map { dimension in
                var shape = [Int](repeating: 1, count: indices.rank - 1)
                shape[dimension] = input.shape[dimension]
                return try Tensor.counting(to: input.shape[dimension]).reshaped(shape)
            }
            for column in 0..<width {
                tuple.append(try select(.tensor(positions), .int(indices.rank - 1), .int(column)))
            }
            return tuple.isEmpty
                ? try input.expanded(indices.shape.dropLast() + input.shape)
                : try index(.tensor(input), .optionalTensors(tuple))
        }
    }

    private static func compress(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: nil)
        return context.map { input, condition in
            let chosen = try nonzero(.tensor(condition)).reshaped([-1])
            guard let axis else { return try input.reshaped([input.count]).gathering(0, chosen) }
            return try input.gathering(try context.axis(axis, rank: input.rank), chosen)
        }
    }
}
