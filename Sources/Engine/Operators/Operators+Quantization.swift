internal import ONNX
internal import Torch

private let choose = Operation("aten::where.self")
private let clamp = Operation("aten::clamp")
private let equal = Operation("aten::eq.Scalar")
private let largest = Operation("aten::amax")
private let smallest = Operation("aten::amin")

/// Real numbers to small whole ones, and back.
extension Operators {
    nonisolated(unsafe) static let quantization = OperatorFamily(
        [
            "DequantizeLinear": dequantize,
            "DynamicQuantizeLinear": quantizeDynamically,
            "QuantizeLinear": quantize,
        ],
        operands: [.reals: ["DynamicQuantizeLinear"]])

    private static func quantize(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: 1)
        let blockSize = try context.node.int("block_size", default: 0)
        let code = try context.node.int("output_dtype", default: 0)
        let wanted = code == 0 ? context.inputType(2) : try context.elementType(code: code)
        let saturates = try context.flag("saturate", default: true)
        return { inputs in
            let (input, scale) = (try context.required(inputs, 0), try context.required(inputs, 1))
            let zeroPoint = context.optional(inputs, 2)
            let numbers = try input.converted(to: .float32)
            let place = try context.quantizedAxis(axis, of: input, scale: scale)
            let divided = try numbers / scale.laidOut(for: input.shape, axis: place, blockSize: blockSize)
            if let wanted, let format = NarrowFormat(wanted, version: context.version) {
                return [try divided.rounded(to: format, saturating: saturates)]
            }
            let range =
                wanted.flatMap { QuantizedRange($0) } ?? zeroPoint.map {
                    QuantizedRange(zeroPoint: $0.scalarType)
                }
                ?? QuantizedRange(.uint8)
            guard let range else { throw context.unsupported("to the type of its zero point") }
            let offset = try zeroPoint?.laidOut(for: input.shape, axis: place, blockSize: blockSize)
            return [try divided.rounded(zeroPoint: offset, to: range)]
        }
    }

    private static func dequantize(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: 1)
        let blockSize = try context.node.int("block_size", default: 0)
        return { inputs in
            let (input, scale) = (try context.required(inputs, 0), try context.required(inputs, 1))
            let place = try context.quantizedAxis(axis, of: input, scale: scale)
            let factor = try scale.laidOut(for: input.shape, axis: place, blockSize: blockSize)
            var number = input
            if let zeroPoint = context.optional(inputs, 2) {
                // Small types would wrap around.
                let wide: ScalarType = input.scalarType.isFloatingPoint ? .float32 : .int32
                number =
                    try number.converted(to: wide)
                    - zeroPoint.converted(to: wide).laidOut(
                        for: input.shape, axis: place, blockSize: blockSize)
            }
            return [try number.converted(to: .float32) * factor]
        }
    }

    /// Quantizes to uint8 with the scale that the data's own extremes call for.
    private static func quantizeDynamically(_ context: OperatorContext) throws -> Kernel {
        guard let range = QuantizedRange(.uint8) else { throw context.unsupported("to uint8") }
        return context.mapMany { input in
            let every = Array(0..<input.rank)
            let low = try clamp(.tensor(try smallest(.tensor(input), .ints(every))), .none, 0)
            let high = try clamp(.tensor(try largest(.tensor(input), .ints(every))), 0)
            let spread = try (high - low) * (1 / 255)
            // Nothing but zeros has no spread; any scale is right.
            let one = try Tensor(scalar: Float(1))
            let scale = try choose(.tensor(try equal(.tensor(spread), 0)), .tensor(one), .tensor(spread))
            let zeroPoint = try (low * -1).quantized(scale: scale, zeroPoint: nil, to: range)
            return [try input.quantized(scale: scale, zeroPoint: zeroPoint, to: range), scale, zeroPoint]
        }
    }
}

extension OperatorContext {
    /// The dimension that the numbers of a scale belong to; 0 where one number belongs to all.
    fileprivate func quantizedAxis(_ axis: Int, of input: Tensor, scale: Tensor) throws -> Int {
        guard scale.count != 1 else { return 0 }
        let resolved = try self.axis(axis, rank: input.rank)
        guard input.rank > 0, scale.rank == input.rank || scale.shape == [input.shape[resolved]] else {
            throw error(
                "a scale of shape \(scale.shape) does not fit dimension \(resolved) of \(input.shape)")
        }
        return resolved
    }

    /// A kernel of one input and several outputs.
    fileprivate func mapMany(_ body: @escaping (Tensor) throws -> [Tensor?]) -> Kernel {
        { inputs in try body(try required(inputs, 0)) }
    }
}
