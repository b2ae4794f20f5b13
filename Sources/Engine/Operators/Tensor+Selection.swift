internal import Torch

private let slice = Operation("aten::slice.Tensor")
private let flip = Operation("aten::flip")
private let full = Operation("aten::full")
private let arange = Operation("aten::arange.start_step")
private let isBelow = Operation("aten::lt.Scalar")
private let addScalar = Operation("aten::add.Scalar")
private let choose = Operation("aten::where.self")

/// Positions along dimensions, and tensors that stand for them.
extension Tensor {
    /// Every `step`-th of the positions `range` of dimension `axis`; `step` is positive.
    func sliced(_ axis: Int, _ range: Range<Int>, step: Int = 1) throws(TorchError) -> Tensor {
        try slice(.tensor(self), .int(axis), .int(range.lowerBound), .int(range.upperBound), .int(step))
    }

    /// The positions of the dimensions `axes` in reverse.
    func flipped(_ axes: [Int]) throws(TorchError) -> Tensor { try flip(.tensor(self), .ints(axes)) }

    /// A tensor with the same number everywhere.
    static func constant(_ value: Argument, shape: [Int], type: ScalarType) throws(TorchError) -> Tensor {
        try full(.ints(shape), value, .type(type))
    }

    /// The whole numbers 0 up to, but not including, `count`, as int64.
    static func counting(to count: Int) throws(TorchError) -> Tensor {
        try arange(0, .int(count), 1, .type(.int64))
    }

    /// These positions in a dimension of `size` elements as int64, those that count from the end from its start.
    func countedFromStart(_ size: Int) throws(TorchError) -> Tensor {
        let positions = try converted(to: .int64)
        let isNegative = try isBelow(.tensor(positions), 0)
        return try choose(
            .tensor(isNegative), .tensor(try addScalar(.tensor(positions), .int(size))), .tensor(positions))
    }

    /// The only element as an argument for a libtorch `Scalar`: whole numbers stay whole.
    func scalarArgument() throws(TorchError) -> Argument {
        switch scalarType {
        case .bool: .bool(try item())
        case _ where scalarType.isFloatingPoint: .double(try item())
        default: .int(try item())
        }
    }
}

/// The shape that tensors of these shapes have together, by NumPy's rule; `nil` when they do not fit.
func broadcastShape(_ left: [Int], _ right: [Int]) -> [Int]? {
    let rank = max(left.count, right.count)
    var result = [Int](repeating: 1, count: rank)
    for position in 0..<rank {
        let first = position < rank - left.count ? 1 : left[position - (rank - left.count)]
        let second = position < rank - right.count ? 1 : right[position - (rank - right.count)]
        guard first == second || first == 1 || second == 1 else { return nil }
        result[position] = first == 1 ? second : first
    }
    return result
}
