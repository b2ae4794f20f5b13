internal import ONNX
internal import Torch

private let absolute = Operation("aten::abs")
private let largest = Operation("aten::amax")
private let smallest = Operation("aten::amin")
private let logarithm = Operation("aten::log")
private let logSumExp = Operation("aten::logsumexp")
private let mean = Operation("aten::mean.dim")
private let norm = Operation("aten::linalg_vector_norm")
private let product = Operation("aten::prod.dim_int")
private let square = Operation("aten::square")
private let sqrt = Operation("aten::sqrt")
private let sum = Operation("aten::sum.dim_IntList")

/// Functions of all elements along some dimensions.
extension Operators {
    nonisolated(unsafe) static let reductions = OperatorFamily(
        [
            "ReduceL1": reduction { try total(try absolute(.tensor($0)), $1, $2) },
            "ReduceL2": reduction { input, axes, keep in
                guard input.scalarType.isFloatingPoint else {
                    let squares = try square(.tensor(try input.converted(to: .float64)))
                    return try sqrt(.tensor(try total(squares, axes, keep))).converted(to: input.scalarType)
                }
                return try norm(.tensor(input), 2, .ints(axes), .bool(keep))
            },
            "ReduceLogSum": reduction { input, axes, keep in
                let sums = try logarithm(.tensor(try total(input, axes, keep)))
                return try sums.converted(to: input.scalarType)
            },
            "ReduceLogSumExp": reduction { input, axes, keep in
                let exact = input.scalarType.isFloatingPoint ? input : try input.converted(to: .float64)
                return try logSumExp(.tensor(exact), .ints(axes), .bool(keep)).converted(to: input.scalarType)
            },
            "ReduceMax": reduction { try extreme(largest, $0, $1, $2, ofNothing: \.lowest) },
            "ReduceMean": reduction { input, axes, keep in
                let exact = input.scalarType.isFloatingPoint ? input : try input.converted(to: .float64)
                return try mean(.tensor(exact), .ints(axes), .bool(keep)).converted(to: input.scalarType)
            },
            "ReduceMin": reduction { try extreme(smallest, $0, $1, $2, ofNothing: \.highest) },
            "ReduceProd": reduction { input, axes, keep in
                // One dimension at a time, from the last, so that the numbers of the others stay.
                try axes.reversed().reduce(input) { partial, axis in
                    try product(.tensor(partial), .int(axis), .bool(keep), .type(input.scalarType))
                }
            },
            "ReduceSum": reduction(axesAreInputFrom: 13, total),
            "ReduceSumSquare": reduction { try total(try square(.tensor($0)), $1, $2) },
        ],
        traits: [
            "ReduceMax": .init(since: 1),
            "ReduceMean": .init(since: 1),
            "ReduceMin": .init(since: 1),
            "ReduceProd": .init(since: 1),
            "ReduceSum": .init(since: 1),
        ],
        operands: [
            // The axes are an input.
            OperandTypes(kinds: OperandTypes.numbers.kinds, slots: [0]): [
                "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMean", "ReduceProd",
                "ReduceSum", "ReduceSumSquare",
            ]
        ])

    /// What reduces a tensor along some dimensions (never none of several), keeping them with size 1 or not.
    private typealias Reduction = (_ input: Tensor, _ axes: [Int], _ keepsDimensions: Bool) throws -> Tensor

    private static func reduction(
        axesAreInputFrom version: Int = 18, _ reduce: @escaping Reduction
    ) -> OperatorBuilder {
        { context in
            let axes = try context.integers("axes", until: version, in: 1)
            let keepsDimensions = try context.flag("keepdims", default: true)
            let keepsAllWithoutAxes = try context.flag("noop_with_empty_axes", default: false)
            return { inputs in
                let input = try context.required(inputs, 0)
                var reduced = try context.axes(try axes(inputs) ?? [], rank: input.rank)
                if reduced.isEmpty {
                    if keepsAllWithoutAxes { return [input] }
                    reduced = Array(0..<input.rank)
                }
                return [try reduce(input, reduced, keepsDimensions)]
            }
        }
    }

    private static func total(_ input: Tensor, _ axes: [Int], _ keep: Bool) throws -> Tensor {
        try sum(.tensor(input), .ints(axes), .bool(keep), .type(input.scalarType))
    }

    /// The largest or smallest element; of no elements at all, the type's own limit.
    private static func extreme(
        _ operation: Operation, _ input: Tensor, _ axes: [Int], _ keep: Bool,
        ofNothing limit: (ScalarType) -> Argument
    ) throws -> Tensor {
        if axes.contains(where: { input.shape[$0] == 0 }) {
            let shape = input.shape.enumerated().compactMap { axis, size in
                axes.contains(axis) ? (keep ? 1 : nil) : size
            }
            return try Tensor.constant(limit(input.scalarType), shape: shape, type: input.scalarType)
        }
        // Boolean extremes are those of 0 and 1.
        let numbers = input.scalarType == .bool ? try input.converted(to: .uint8) : input
        return try operation(.tensor(numbers), .ints(axes), .bool(keep)).converted(to: input.scalarType)
    }
}

extension ScalarType {
    /// The smallest number of the type: what a maximum starts from.
    fileprivate var lowest: Argument {
        switch self {
        case .bool: false
        case .uint8: 0
        case .int8: .int(Int(Int8.min))
        case .int16: .int(Int(Int16.min))
        case .int32: .int(Int(Int32.min))
        case .int64: .int(Int.min)
        case .float16, .float32, .float64, .bfloat16: .double(-.infinity)
        }
    }

    /// The largest number of the type: what a minimum starts from.
    fileprivate var highest: Argument {
        switch self {
        case .bool: true
        case .uint8: .int(Int(UInt8.max))
        case .int8: .int(Int(Int8.max))
        case .int16: .int(Int(Int16.max))
        case .int32: .int(Int(Int32.max))
        case .int64: .int(Int.max)
        case .float16, .float32, .float64, .bfloat16: .double(.infinity)
        }
    }
}
