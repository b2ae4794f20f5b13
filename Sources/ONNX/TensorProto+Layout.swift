/// Where a tensor message keeps its elements, and whether there are as many as its shape says.
///
/// Source: the comments on `TensorProto` in ONNX's onnx.proto.
extension TensorProto {
    /// What a message says about itself, checked before anything is allocated for its elements.
    struct Layout {
        var elementType: ElementType
        var shape: [Int]
        var count: Int
        /// Bytes of the elements as raw data; 0 for strings.
        var byteCount: Int
    }

    /// Type and shape, both checked; elements are not looked at.
    func layout() throws(ModelError) -> Layout {
        guard !hasSegment else {
            throw ModelError(.unsupported, "is one segment of a tensor, which Espalier does not read")
        }
        let type = try ElementType(onnx: dataType)
        let count = try elementCount(ofDims: dims)
        guard let byteCount = type.byteCount(ofElements: count) else {
            throw ModelError(.invalid, "has more bytes than can be counted")
        }
        return Layout(elementType: type, shape: dims.map { Int($0) }, count: count, byteCount: byteCount)
    }

    /// The fields that elements can be in.
    enum DataField: String, CaseIterable {
        case raw = "raw_data"
        case float = "float_data"
        case int32 = "int32_data"
        case int64 = "int64_data"
        case double = "double_data"
        case uint64 = "uint64_data"
        case string = "string_data"

        /// The field for elements of `type` that are not in `raw_data`.
        init(for type: ElementType) {
            self =
                switch type {
                case .float32, .complex64: .float
                case .float64, .complex128: .double
                case .int64: .int64
                case .uint32, .uint64: .uint64
                case .string: .string
                default: .int32
                }
        }

        /// Entries that `layout`'s elements take in this field.
        func entries(_ layout: Layout) -> Int {
            switch (self, layout.elementType) {
            case (.raw, _): layout.byteCount
            case (_, .complex64), (_, .complex128): layout.count * 2
            case (_, let type) where (1..<8).contains(type.bitWidth): layout.byteCount
            default: layout.count
            }
        }
    }

    /// Entries that the message has in `field`; bytes for `raw_data`.
    func entries(in field: DataField) -> Int {
        switch field {
        case .raw: rawData.count
        case .float: floatData.count
        case .int32: int32Data.count
        case .int64: int64Data.count
        case .double: doubleData.count
        case .uint64: uint64Data.count
        case .string: stringData.count
        }
    }

    /// The field that the elements are in, nil for no elements or external data; its entries agree with `layout`.
    /// - Throws: ``ModelError`` if elements are in a field that is not for their type, in several, or too few or many.
    func dataField(_ layout: Layout) throws(ModelError) -> DataField? {
        let used = DataField.allCases.filter { entries(in: $0) > 0 }
        if dataLocation == .external {
            guard used.isEmpty else {
                throw ModelError(.malformed, "has external data but elements in \(used[0].rawValue) too")
            }
            guard layout.elementType != .string else {
                throw ModelError(.invalid, "has strings in external data, which the standard forbids")
            }
            return nil
        }
        let own = DataField(for: layout.elementType)
        guard used.count <= 1 else {
            throw ModelError(
                .malformed, "has elements in both \(used[0].rawValue) and \(used[1].rawValue)")
        }
        guard let field = used.first else {
            guard layout.count == 0 else {
                throw ModelError(
                    .malformed, "has no elements where its shape \(layout.shape) needs \(layout.count)")
            }
            return nil
        }
        guard field == own || (field == .raw && own != .string) else {
            throw ModelError(
                .malformed,
                "has \(layout.elementType.name) elements in \(field.rawValue), which is not for them")
        }
        let expected = field.entries(layout)
        guard entries(in: field) == expected else {
            throw ModelError(
                .malformed,
                "has \(entries(in: field)) \(field == .raw ? "bytes" : "entries") in \(field.rawValue) where "
                    + "\(layout.elementType.name) of shape \(layout.shape) needs \(expected)")
        }
        return field
    }

    /// Checks type, shape, and the elements in the message; external data is checked against its file when it is
    /// read.
    func checkElements() throws(ModelError) {
        let layout = try layout()
        switch try dataField(layout) {
        case .int32? where layout.elementType != .int32, .uint64? where layout.elementType != .uint64:
            _ = try TensorData(decoding: self, folder: nil)  // entries are wider than the elements
        default: break
        }
    }
}
