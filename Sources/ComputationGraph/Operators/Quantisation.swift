internal import ONNX

/// Quantised numbers, and layers that compute with them. Their weights are whole numbers.
extension OperatorFacts {
    static let quantisation: [String: OperatorFacts] = [
        "ConvInteger": OperatorFacts(
            outputType: always(.int32), parameters: ParameterSlots(integer: [0, 1]), role: .product),
        "DequantizeLinear": OperatorFacts(
            outputType: { $0.attribute("output_dtype") ?? $0.input(1) },
            parameters: ParameterSlots(integer: [0])),
        "DynamicQuantizeLinear": OperatorFacts(outputType: { $0.position == 1 ? .float32 : .uint8 }),
        "MatMulInteger": OperatorFacts(
            outputType: always(.int32), parameters: ParameterSlots(integer: [0, 1]), role: .product),
        "QLinearConv": OperatorFacts(
            outputType: typeOfZeroPoint, parameters: ParameterSlots(integer: [3, 8]), role: .product),
        "QLinearMatMul": OperatorFacts(
            outputType: typeOfZeroPoint, parameters: ParameterSlots(integer: [0, 3]), role: .product),
        "QuantizeLinear": OperatorFacts(
            outputType: { $0.input(2) ?? $0.attribute("output_dtype") ?? .uint8 }),
    ]

    /// The output has the type of its zero point.
    private static let typeOfZeroPoint: @Sendable (OutputTyping) -> ElementType? = {
        $0.input(7) ?? $0.input(6)
    }
}
