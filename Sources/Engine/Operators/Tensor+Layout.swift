internal import Torch

private let reshape = Operation("aten::reshape")
private let permute = Operation("aten::permute")
private let transpose = Operation("aten::transpose.int")
private let narrow = Operation("aten::narrow")
private let unsqueeze = Operation("aten::unsqueeze")
private let squeeze = Operation("aten::squeeze.dim")
private let select = Operation("aten::select.int")
private let expand = Operation("aten::expand")
private let pad = Operation("aten::constant_pad_nd")
private let concatenate = Operation("aten::cat")
private let stack = Operation("aten::stack")
private let full = Operation("aten::full")

private let clone = Operation("aten::clone")
private let contiguous = Operation("aten::contiguous")

/// libtorch's numbers for the order of dimensions in memory.
private enum MemoryFormat {
    static let channelsLast = 2
}

/// The same elements in another arrangement. None of these copies unless it has to.
extension Tensor {
    /// The elements in C order under another shape; one size may be -1.
    func reshaped(_ shape: [Int]) throws(TorchError) -> Tensor { try reshape(.tensor(self), .ints(shape)) }

    /// Dimension `i` of the result is dimension `order[i]` of this tensor.
    func permuted(_ order: [Int]) throws(TorchError) -> Tensor { try permute(.tensor(self), .ints(order)) }

    /// The same tensor [N, C, H, W], with the channels innermost in memory.
    ///
    /// A single channel lies both ways at once; a copy says by its strides which one is meant, and what libtorch
    /// computes from it has the channels innermost too.
    func channelsLast() throws(TorchError) -> Tensor {
        if isChannelsLast {
            return shape[1] > 1 ? self : try clone(.tensor(self), .int(MemoryFormat.channelsLast))
        }
        return try contiguous(.tensor(self), .int(MemoryFormat.channelsLast))
    }

    /// Two dimensions exchanged.
    func transposed(_ first: Int, _ second: Int) throws(TorchError) -> Tensor {
        try transpose(.tensor(self), .int(first), .int(second))
    }

    /// `length` positions of one dimension from `start` on.
    func narrowed(_ dimension: Int, from start: Int, length: Int) throws(TorchError) -> Tensor {
        start == 0 && length == shape[dimension]
            ? self : try narrow(.tensor(self), .int(dimension), .int(start), .int(length))
    }

    /// One position of a dimension, which goes away.
    func selecting(_ dimension: Int, at index: Int) throws(TorchError) -> Tensor {
        try select(.tensor(self), .int(dimension), .int(index))
    }

    /// With a dimension of size 1 before position `dimension`.
    func unsqueezed(_ dimension: Int) throws(TorchError) -> Tensor {
        try unsqueeze(.tensor(self), .int(dimension))
    }

    /// Without `dimension`, when its size is 1.
    func squeezed(_ dimension: Int) throws(TorchError) -> Tensor {
        try squeeze(.tensor(self), .int(dimension))
    }

    /// Repeated along dimensions of size 1, without a copy.
    func expanded(_ shape: [Int]) throws(TorchError) -> Tensor { try expand(.tensor(self), .ints(shape)) }

    /// With `begin[i]` and `end[i]` positions of `value` around the last dimensions; negative numbers crop.
    ///
    /// - Parameters:
    ///   - begin: one number for each of the last `begin.count` dimensions, outermost first; as many in `end`.
    func padded(begin: [Int], end: [Int], value: Double = 0) throws(TorchError) -> Tensor {
        if begin.allSatisfy({ $0 == 0 }) && end.allSatisfy({ $0 == 0 }) { return self }
        let pads = zip(begin, end).reversed().flatMap { [$0, $1] }
        return try pad(.tensor(self), .ints(pads), .double(value))
    }

    /// A vector laid along dimension `dimension` of `rank`, every other size 1.
    func alongDimension(_ dimension: Int, rank: Int) throws(TorchError) -> Tensor {
        var shape = [Int](repeating: 1, count: rank)
        shape[dimension] = -1
        return try reshaped(shape)
    }

    /// Tensors end to end along a dimension that they have.
    static func concatenated(_ tensors: [Tensor], along dimension: Int) throws(TorchError) -> Tensor {
        tensors.count == 1 ? tensors[0] : try concatenate(.tensors(tensors), .int(dimension))
    }

    /// Tensors of one shape side by side along a new dimension.
    static func stacked(_ tensors: [Tensor], along dimension: Int) throws(TorchError) -> Tensor {
        try stack(.tensors(tensors), .int(dimension))
    }

    /// A tensor that holds `value` everywhere.
    static func filled(_ value: Double, shape: [Int], type: ScalarType = .float32) throws(TorchError)
        -> Tensor
    {
        try full(.ints(shape), type.isFloatingPoint ? .double(value) : .int(Int(value)), .type(type))
    }
}
