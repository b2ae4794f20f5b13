internal import Torch

private let add = Operation("aten::add.Tensor")
private let addNumber = Operation("aten::add.Scalar")
private let subtract = Operation("aten::sub.Tensor")
private let multiply = Operation("aten::mul.Tensor")
private let multiplyNumber = Operation("aten::mul.Scalar")
private let divide = Operation("aten::div.Tensor")
private let power = Operation("aten::pow.Tensor_Scalar")
private let squareRoot = Operation("aten::sqrt")
private let absolute = Operation("aten::abs")
private let product = Operation("aten::matmul")
private let sum = Operation("aten::sum.dim_IntList")
private let mean = Operation("aten::mean.dim")
private let maximum = Operation("aten::amax")
private let choose = Operation("aten::where.self")
private let gather = Operation("aten::index_select")

/// Arithmetic for operators that are put together from several of libtorch's. Shapes broadcast; all of it can be
/// differentiated.
extension Tensor {
    static func + (left: Tensor, right: Tensor) throws(TorchError) -> Tensor {
        try add(.tensor(left), .tensor(right))
    }
    static func + (left: Tensor, right: Double) throws(TorchError) -> Tensor {
        try addNumber(.tensor(left), .double(right))
    }
    static func - (left: Tensor, right: Tensor) throws(TorchError) -> Tensor {
        try subtract(.tensor(left), .tensor(right))
    }
    static func * (left: Tensor, right: Tensor) throws(TorchError) -> Tensor {
        try multiply(.tensor(left), .tensor(right))
    }
    static func * (left: Tensor, right: Double) throws(TorchError) -> Tensor {
        try multiplyNumber(.tensor(left), .double(right))
    }
    static func / (left: Tensor, right: Tensor) throws(TorchError) -> Tensor {
        try divide(.tensor(left), .tensor(right))
    }

    /// Every element to the power of `exponent`.
    func raised(to exponent: Double) throws(TorchError) -> Tensor {
        try power(.tensor(self), .double(exponent))
    }
    /// The square root of every element.
    func squareRooted() throws(TorchError) -> Tensor { try squareRoot(.tensor(self)) }
    /// The absolute value of every element.
    func magnitudes() throws(TorchError) -> Tensor { try absolute(.tensor(self)) }

    /// The matrix product over the last two dimensions, the others broadcast.
    func matrixProduct(_ other: Tensor) throws(TorchError) -> Tensor {
        try product(.tensor(self), .tensor(other))
    }

    /// The sum over some dimensions.
    func summed(over dimensions: [Int], keeping: Bool = false) throws(TorchError) -> Tensor {
        try sum(.tensor(self), .ints(dimensions), .bool(keeping))
    }
    /// The mean over some dimensions.
    func averaged(over dimensions: [Int], keeping: Bool = false) throws(TorchError) -> Tensor {
        try mean(.tensor(self), .ints(dimensions), .bool(keeping))
    }
    /// The largest element over some dimensions.
    func maxima(over dimensions: [Int], keeping: Bool = false) throws(TorchError) -> Tensor {
        try maximum(.tensor(self), .ints(dimensions), .bool(keeping))
    }

    /// Elements of `first` where this boolean tensor holds, of `second` elsewhere.
    func choosing(_ first: Tensor, else second: Tensor) throws(TorchError) -> Tensor {
        try choose(.tensor(self), .tensor(first), .tensor(second))
    }
    /// The positions `indices` (a vector) of one dimension.
    func gathering(_ dimension: Int, _ indices: Tensor) throws(TorchError) -> Tensor {
        try gather(.tensor(self), .int(dimension), .tensor(indices))
    }
}
