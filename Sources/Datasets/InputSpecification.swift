/// What a model wants to read at one of its inputs.
public struct InputSpecification: Hashable, Sendable {
    /// The input's name in the model.
    public let name: String
    /// The element type it wants.
    public let elementType: NumpyElementType
    /// The length of every dimension, nil where any is allowed; nil as a whole if the model does not say.
    ///
    /// The first dimension counts samples; a fixed length there is not held against the data.
    public let shape: [Int?]?

    /// Describes a model's input.
    public init(name: String, elementType: NumpyElementType, shape: [Int?]?) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
    }

    /// Describes a model's input whose element type is given by its NumPy or ONNX name.
    ///
    /// - Throws: `unsupportedElementType` for names such as `string` or `bfloat16`.
    public init(name: String, elementTypeName: String, shape: [Int?]?) throws(DatasetError) {
        guard let type = NumpyElementType(name: elementTypeName) else {
            throw DatasetError(
                .unsupportedElementType,
                "the model's input '\(name)' wants \(elementTypeName), which no data set has")
        }
        self.init(name: name, elementType: type, shape: shape)
    }

    /// Brings an array into the form that this input wants.
    ///
    /// - Throws: `shapeMismatch`, `elementTypeMismatch`, `invalidValue`.
    func adapt(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
        try checkShape(array.shape)
        if elementType.isFloatingPoint && !array.elementType.isFloatingPoint {
            let example = array.elementType == .uint8 ? ".astype(np.\(elementType.rawValue)) / 255" : ""
            throw DatasetError(
                .elementTypeMismatch,
                "it is \(array.elementType.rawValue), but the model's input '\(name)' wants \(elementType.rawValue); "
                    + "convert and scale it as for training"
                    + (example.isEmpty ? "" : ", for example `array\(example)`"))
        }
        guard
            elementType == array.elementType
                || elementType.isFloatingPoint == array.elementType.isFloatingPoint,
            elementType == .bool ? array.elementType == .bool : array.elementType != .bool
        else {
            throw DatasetError(
                .elementTypeMismatch,
                "it is \(array.elementType.rawValue), but the model's input '\(name)' wants \(elementType.rawValue); "
                    + "convert it with `array.astype(np.\(elementType == .bool ? "bool_" : elementType.rawValue))`"
            )
        }
        if let index = array.firstNonFiniteIndex() {
            throw DatasetError(.invalidValue, "\(array.position(index)) is NaN or infinite")
        }
        return try array.converted(to: elementType)
    }

    private func checkShape(_ actual: [Int]) throws(DatasetError) {
        guard let shape else { return }
        guard !shape.isEmpty else {
            throw DatasetError(
                .shapeMismatch,
                "the model's input '\(name)' is a scalar, which cannot differ from sample to sample")
        }
        let agrees =
            shape.count == actual.count
            && zip(shape, actual).dropFirst().allSatisfy { wanted, length in wanted == nil || wanted == length
            }
        guard agrees else {
            let wanted = ["samples"] + shape.dropFirst().map { $0.map(String.init) ?? "any" }
            throw DatasetError(
                .shapeMismatch,
                "its shape is \(actual), but the model's input '\(name)' wants [\(wanted.joined(separator: ", "))]"
            )
        }
    }
}
