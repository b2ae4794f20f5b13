internal import ONNX
internal import Torch

private let scatter = Operation("aten::scatter.src")
private let scatterAdd = Operation("aten::scatter_add")
private let scatterReduce = Operation("aten::scatter_reduce.two")
private let addScaled = Operation("aten::add.Tensor")
private let select = Operation("aten::select.int")
private let remainder = Operation("aten::remainder.Scalar")

/// Elements written by index.
extension Operators {
    nonisolated(unsafe) static let scattering: OperatorFamily = [
        "Scatter": scatterElements,
        "ScatterElements": scatterElements,
        "ScatterND": scatterTuples,
        "TensorScatter": scatterCache,
    ]

    /// What happens to the element that is already there.
    private enum Combination: String, CaseIterable {
        case replace = "none"
        case add
        case multiply = "mul"
        case largest = "max"
        case smallest = "min"

        /// libtorch's name; `nil` for plain writing.
        private var name: String? {
            switch self {
            case .replace: nil
            case .add: "sum"
            case .multiply: "prod"
            case .largest: "amax"
            case .smallest: "amin"
            }
        }

        /// `target` with `updates` written into it; `indices` are positions along `axis`, of the shape of `updates`.
        func callAsFunction(_ target: Tensor, _ axis: Int, _ indices: Tensor, _ updates: Tensor) throws
            -> Tensor
        {
            guard let name else {
                return try scatter(.tensor(target), .int(axis), .tensor(indices), .tensor(updates))
            }
            if self == .add && target.scalarType != .bool {
                return try scatterAdd(.tensor(target), .int(axis), .tensor(indices), .tensor(updates))
            }
            // libtorch does not combine truth values; as 0 and 1 they combine the same.
            let isBool = target.scalarType == .bool
            let result = try scatterReduce(
                .tensor(isBool ? try target.converted(to: .int32) : target), .int(axis), .tensor(indices),
                .tensor(isBool ? try updates.converted(to: .int32) : updates), .string(name), true)
            return try result.converted(to: target.scalarType)
        }
    }

    private static func scatterElements(_ context: OperatorContext) throws -> Kernel {
        try context.requireIntegers(1)
        let axis = try context.node.int("axis", default: 0)
        let combine = try context.choice("reduction", default: Combination.replace)
        return { inputs in
            let (target, indices) = (try context.required(inputs, 0), try context.required(inputs, 1))
            let updates = try context.required(inputs, 2)
            guard indices.shape == updates.shape else {
                throw context.error(
                    "indices of shape \(indices.shape) and updates of shape \(updates.shape) differ")
            }
            let axis = try context.axis(axis, rank: target.rank)
            let positions = try indices.countedFromStart(target.rank == 0 ? 1 : target.shape[axis])
            return [try combine(target, axis, positions, updates)]
        }
    }

    /// Every tuple along the last dimension of `indices` names a slice of the data that one of the updates goes to.
    private static func scatterTuples(_ context: OperatorContext) throws -> Kernel {
        try context.requireIntegers(1)
        let combine = try context.choice("reduction", default: Combination.replace)
        return { inputs in
            let (target, indices) = (try context.required(inputs, 0), try context.required(inputs, 1))
            let updates = try context.required(inputs, 2)
            guard let width = indices.shape.last, width <= target.rank,
                updates.shape == indices.shape.dropLast() + target.shape[width...]
            else {
                throw context.error(
                    "indices of shape \(indices.shape) and updates of shape \(updates.shape) do not fit data of "
                        + "shape \(target.shape)")
            }
            guard updates.count > 0 else { return [target] }
            // The tuples as row numbers of the data, seen as a matrix with one slice per row.
            let slices = target.shape[..<width].reduce(1, *)
            guard slices > 0 else {
                throw context.error("data of shape \(target.shape) has nothing to write to")
            }
            let sliceSize = target.count / slices
            let count = indices.shape.dropLast().reduce(1, *)
            var rows = try Tensor.constant(0, shape: Array(indices.shape.dropLast()), type: .int64)
            var stride = slices
            for column in 0..<width {
                stride /= target.shape[column]
                let positions = try select(.tensor(indices), .int(indices.rank - 1), .int(column))
                    .countedFromStart(target.shape[column])
                rows = try addScaled(.tensor(rows), .tensor(positions), .int(stride))
            }
            let written = try combine(
                try target.reshaped([slices, sliceSize]), 0,
                try rows.reshaped([count, 1]).expanded([count, sliceSize]),
                try updates.reshaped([count, sliceSize]))
            return [try written.reshaped(target.shape)]
        }
    }

    /// TensorScatter: what is new written into a cache along `axis`, from a place of each sample's own on.
    private static func scatterCache(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: -2)
        let mode = try context.node.string("mode", default: "linear")
        guard ["linear", "circular"].contains(mode) else {
            throw context.error("mode is '\(mode)', which is neither 'linear' nor 'circular'")
        }
        return { inputs in
            let (cache, update) = (try context.required(inputs, 0), try context.required(inputs, 1))
            let axis = try context.axis(axis, rank: cache.rank)
            var shape = cache.shape
            if update.rank == cache.rank { shape[axis] = update.shape[axis] }
            guard axis > 0, update.shape == shape, shape[axis] <= cache.shape[axis] else {
                throw context.error(
                    "an update of shape \(update.shape) does not fit a cache of shape \(cache.shape)")
            }
            guard update.count > 0 else { return [cache] }
            var places = try Tensor.counting(to: shape[axis]).alongDimension(axis, rank: cache.rank)
            if let starts = context.optional(inputs, 2) {
                places = try places + starts.converted(to: .int64).alongDimension(0, rank: cache.rank)
            }
            if mode == "circular" {
                places = try remainder(.tensor(places), .int(cache.shape[axis]))
            }
            return [
                try scatter(.tensor(cache), .int(axis), .tensor(places.expanded(shape)), .tensor(update))
            ]
        }
    }
}
