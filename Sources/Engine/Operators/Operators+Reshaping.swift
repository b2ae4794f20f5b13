internal import ONNX
internal import Torch

private let repeatTiles = Operation("aten::repeat")

/// The same elements in another shape.
extension Operators {
    nonisolated(unsafe) static let reshaping = OperatorFamily(
        [
            "Expand": expand,
            "Flatten": flatten,
            "Reshape": reshape,
            "Squeeze": squeeze,
            "Tile": tile,
            "Transpose": transpose,
            "Unsqueeze": unsqueeze,
        ],
        traits: [
            "Flatten": .init(since: 1),
            "Reshape": .init(since: 6),
            "Squeeze": .init(since: 1),
            "Transpose": .init(since: 1),
            "Unsqueeze": .init(since: 1),
        ])

    /// The product of sizes; `nil` where one is negative or the product is beyond counting.
    private static func elementCount(_ shape: [Int]) -> Int? {
        var count = 1
        for size in shape {
            let (product, overflows) = count.multipliedReportingOverflow(by: size)
            guard size >= 0, !overflows else { return nil }
            count = product
        }
        return count
    }

    /// A target size of 0 is the input's own size there (unless `allowzero`), one of -1 is what is left over.
    private static func reshape(_ context: OperatorContext) throws -> Kernel {
        let target = try context.integers("shape", until: 5, in: 1)
        let allowsZero = try context.flag("allowzero", default: false)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard var shape = try target(inputs) else { throw context.error("the shape is missing") }
            if !allowsZero {
                for position in shape.indices where shape[position] == 0 {
                    guard position < input.rank else {
                        throw context.error(
                            "size 0 at \(position) of \(shape) copies a size that the input lacks")
                    }
                    shape[position] = input.shape[position]
                }
            }
            let unknown = shape.indices.filter { shape[$0] == -1 }
            guard unknown.count <= 1 else { throw context.error("the shape \(shape) leaves two sizes open") }
            if let position = unknown.first {
                shape[position] = 1
                let known = elementCount(shape) ?? 0
                shape[position] = known == 0 ? 0 : input.count / known
            }
            guard elementCount(shape) == input.count else {
                throw context.error("an input of shape \(input.shape) cannot take the shape \(shape)")
            }
            return [try input.reshaped(shape)]
        }
    }

    private static func flatten(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: 1)
        return context.map { input in
            let split = axis < 0 ? axis + input.rank : axis
            guard (0...input.rank).contains(split) else {
                throw context.error("axis \(axis) is outside a tensor of \(input.rank) dimensions")
            }
            return try input.reshaped([
                input.shape[..<split].reduce(1, *), input.shape[split...].reduce(1, *),
            ])
        }
    }

    private static func squeeze(_ context: OperatorContext) throws -> Kernel {
        let axes = try context.integers("axes", until: 13, in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard let given = try axes(inputs) else {
                return [try input.reshaped(input.shape.filter { $0 != 1 })]
            }
            let removed = try context.axes(given, rank: input.rank)
            for axis in removed where input.shape[axis] != 1 {
                throw context.error("dimension \(axis) of shape \(input.shape) is not of size 1")
            }
            let kept = input.shape.indices.filter { !removed.contains($0) }
            return [try input.reshaped(kept.map { input.shape[$0] })]
        }
    }

    private static func unsqueeze(_ context: OperatorContext) throws -> Kernel {
        let axes = try context.integers("axes", until: 13, in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard let given = try axes(inputs) else { throw context.error("the axes are missing") }
            var shape = input.shape
            for axis in try context.axes(given, rank: input.rank + given.count) { shape.insert(1, at: axis) }
            return [try input.reshaped(shape)]
        }
    }

    private static func transpose(_ context: OperatorContext) throws -> Kernel {
        let order = try context.node.ints("perm", default: nil)
        return context.map { try $0.permuted(order ?? (0..<$0.rank).reversed()) }
    }

    private static func expand(_ context: OperatorContext) throws -> Kernel {
        let target = try context.integers(in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard let target = try target(inputs) else { throw context.error("the shape is missing") }
            guard let shape = broadcastShape(input.shape, target) else {
                throw context.error("an input of shape \(input.shape) does not expand to \(target)")
            }
            return [try input.expanded(shape)]
        }
    }

    private static func tile(_ context: OperatorContext) throws -> Kernel {
        let counts = try context.integers(in: 1)
        return { inputs in
            let input = try context.required(inputs, 0)
            guard let counts = try counts(inputs), counts.count == input.rank else {
                throw context.error("repeats must have one number for each of the \(input.rank) dimensions")
            }
            return [try repeatTiles(.tensor(input), .ints(counts))]
        }
    }
}
