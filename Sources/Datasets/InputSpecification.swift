/// What a model wants to read at one of its inputs.
public struct InputSpecification: Hashable, Sendable {
    /// The input's name in the model.
    public let name: String
    /// The element type it wants.
    public let elementType: NumpyElementType
    /// The length of every dimension, nil where any is allowed; nil as a whole if the model does not say.
    ///
    /// A fixed length of the samples' dimension is not held against the data.
    public let shape: [Int?]?
    /// The dimension that counts samples; nil for an input that all samples share.
    public let sampleAxis: Int?
    /// Whether values are rounded to bfloat16, which NumPy has no type for.
    let isBFloat16: Bool

    /// Describes a model's input.
    public init(name: String, elementType: NumpyElementType, shape: [Int?]?, sampleAxis: Int? = 0) {
        self.init(
            name: name, elementType: elementType, shape: shape, sampleAxis: sampleAxis, isBFloat16: false)
    }

    private init(
        name: String, elementType: NumpyElementType, shape: [Int?]?, sampleAxis: Int?, isBFloat16: Bool
    ) {
        self.name = name
        self.elementType = elementType
        self.shape = shape
        self.sampleAxis = sampleAxis
        self.isBFloat16 = isBFloat16
    }

    /// Describes a model's input whose element type is given by its NumPy or ONNX name. `bfloat16` takes float32.
    ///
    /// - Throws: `unsupportedElementType` for names such as `string`.
    public init(name: String, elementTypeName: String, shape: [Int?]?, sampleAxis: Int? = 0)
        throws(DatasetError)
    {
        let isBFloat16 = elementTypeName == "bfloat16"
        guard let type = isBFloat16 ? .float32 : NumpyElementType(name: elementTypeName) else {
            throw DatasetError(
                .unsupportedElementType,
                "the model's input '\(name)' wants \(elementTypeName), which no data set has")
        }
        self.init(
            name: name, elementType: type, shape: shape, sampleAxis: sampleAxis, isBFloat16: isBFloat16)
    }

    /// Brings an array into the form that this input wants, with its samples first; one that all samples share stays as
    /// the model reads it.
    ///
    /// - Parameter samples: how many samples to keep.
    /// - Throws: `shapeMismatch`, `elementTypeMismatch`, `invalidValue`.
    func adapt(_ array: NumpyArray, samples: Int) throws(DatasetError) -> NumpyArray {
        guard let sampleAxis else { return try typed(shared(array)) }
        try checkShape(array.shape, sampleAxis)
        let rows = (sampleAxis > 0 ? array.movingToFirst(sampleAxis) : array).prefix(rows: samples)
        return try typed(rows)
    }

    /// The array in the element type that this input wants.
    private func typed(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
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
        let converted = try array.converted(to: elementType)
        return isBFloat16 ? converted.roundedToBFloat16() : converted
    }

    /// The one value of an input that all samples share: given once, or once for every sample and always the same.
    private func shared(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
        guard let shape else { return array }
        func fits(_ actual: some Collection<Int>) -> Bool {
            actual.count == shape.count && zip(shape, actual).allSatisfy { $0 == nil || $0 == $1 }
        }
        if fits(array.shape) { return array }
        guard array.shape.count == shape.count + 1, fits(array.shape.dropFirst()), array.rowCount > 0 else {
            let wanted = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
            throw DatasetError(
                .shapeMismatch,
                "its shape is \(array.shape), but the model's input '\(name)', which all samples share, wants "
                    + "[\(wanted)]")
        }
        let width = array.rowByteCount
        let first = array.bytes[..<width]
        for row in 1..<max(array.rowCount, 1)
        where array.bytes[row * width..<(row + 1) * width] != ArraySlice(first) {
            throw DatasetError(
                .shapeMismatch,
                "it differs between samples 0 and \(row), but the model's input '\(name)' is one value that all samples "
                    + "share")
        }
        return NumpyArray(unchecked: Array(array.shape.dropFirst()), array.elementType, Array(first))
    }

    private func checkShape(_ actual: [Int], _ sampleAxis: Int) throws(DatasetError) {
        guard let shape else { return }
        let agrees =
            shape.count == actual.count
            && zip(shape, actual).enumerated().allSatisfy { dimension, sizes in
                dimension == sampleAxis || sizes.0 == nil || sizes.0 == sizes.1
            }
        guard agrees else {
            let wanted = shape.enumerated().map { dimension, size in
                dimension == sampleAxis ? "samples" : size.map(String.init) ?? "any"
            }
            throw DatasetError(
                .shapeMismatch,
                "its shape is \(actual), but the model's input '\(name)' wants [\(wanted.joined(separator: ", "))]"
            )
        }
    }
}

extension NumpyArray {
    /// float32 values rounded to the nearest bfloat16, ties to even; NaN does not occur.
    fileprivate func roundedToBFloat16() -> NumpyArray {
        let rounded = values(as: UInt32.self).map { bits in
            let (sum, overflow) = bits.addingReportingOverflow(0x7FFF + (bits >> 16 & 1))
            return (overflow ? bits : sum) & 0xFFFF_0000
        }
        return NumpyArray(unchecked: shape, elementType, rounded.withUnsafeBytes { [UInt8]($0) })
    }
}
