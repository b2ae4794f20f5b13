internal import ONNX
internal import Torch

private let clamp = Operation("aten::clamp")
private let repeatEach = Operation("aten::repeat_interleave.self_int")
private let round = Operation("aten::round")

/// The whole numbers that quantized elements may be.
struct QuantizedRange {
    let smallest: Int
    let largest: Int
    /// The type that the engine holds them in.
    let scalarType: ScalarType

    /// The range of an ONNX type; `nil` for a type that nothing is quantized to.
    init?(_ type: ElementType) {
        guard let held = ScalarType(holding: type) else { return nil }
        scalarType = held
        switch type {
        case .uint8: (smallest, largest) = (0, 255)
        case .int8: (smallest, largest) = (-128, 127)
        case .uint16: (smallest, largest) = (0, 65535)
        case .int16: (smallest, largest) = (-32768, 32767)
        case .uint4: (smallest, largest) = (0, 15)
        case .int4: (smallest, largest) = (-8, 7)
        case .uint2: (smallest, largest) = (0, 3)
        case .int2: (smallest, largest) = (-2, 1)
        default: return nil
        }
    }

    /// The range of a zero point that is held as `type`. Those held as int32 are uint16: ONNX has no others.
    init?(zeroPoint type: ScalarType) {
        switch type {
        case .uint8: self.init(.uint8)
        case .int8: self.init(.int8)
        case .int16: self.init(.int16)
        case .int32: self.init(.uint16)
        default: return nil
        }
    }
}

extension Tensor {
    /// `saturate(round(self / scale) + zeroPoint)`, rounded half to even.
    ///
    /// - Parameters:
    ///   - scale: broadcasts with this tensor, as does `zeroPoint`.
    func quantized(scale: Tensor, zeroPoint: Tensor?, to range: QuantizedRange) throws -> Tensor {
        try (self / scale).rounded(zeroPoint: zeroPoint, to: range)
    }

    /// `saturate(round(self) + zeroPoint)`, rounded half to even.
    func rounded(zeroPoint: Tensor?, to range: QuantizedRange) throws -> Tensor {
        var number = try round(.tensor(self))
        if let zeroPoint { number = try number + zeroPoint.converted(to: number.scalarType) }
        return try clamp(.tensor(number), .int(range.smallest), .int(range.largest)).converted(
            to: range.scalarType)
    }

    /// This scale or zero point laid out so that it broadcasts with data of shape `shape`.
    ///
    /// - Parameters:
    ///   - axis: the dimension that a vector of several numbers belongs to.
    ///   - blockSize: how many neighbours along the dimension share one number; 0 when it is no blocked scale.
    func laidOut(for shape: [Int], axis: Int, blockSize: Int) throws(TorchError) -> Tensor {
        if count == 1 { return try reshaped([]) }
        guard blockSize > 0, rank == shape.count else {
            return try alongDimension(axis, rank: shape.count)
        }
        let repeated = try repeatEach(.tensor(self), .int(blockSize), .int(axis))
        return try repeated.sliced(axis, 0..<shape[axis])
    }

    /// `self - zeroPoint` in double precision, where sums of products of such numbers are exact.
    func centred(_ zeroPoint: Tensor?) throws(TorchError) -> Tensor {
        let number = try converted(to: .float64)
        guard let zeroPoint else { return number }
        return try number - zeroPoint.converted(to: .float64)
    }
}
