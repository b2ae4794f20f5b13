import FoundationEssentials

extension TensorData {
    /// Decodes a tensor message, in any of ONNX's encodings.
    /// - Parameters:
    ///   - tensor: the message; its `raw_data` is shared, not copied.
    ///   - folder: the model's folder, for external data; nil refuses external data. ``ModelFile`` has loaded
    ///     external data into the messages already, unless it was told not to.
    /// - Throws: ``ModelError`` naming the tensor, if elements and shape disagree or external data is unreadable.
    public init(_ tensor: TensorProto, folder: String? = nil) throws(ModelError) {
        self = try locating(field: "tensor \(quoted(tensor.name))") { () throws(ModelError) in
            try TensorData(decoding: tensor, folder: folder)
        }
    }

    /// As ``init(_:folder:)``, without the tensor's name in errors.
    init(decoding tensor: TensorProto, folder: String?) throws(ModelError) {
        let layout = try tensor.layout()
        let type = layout.elementType
        guard let field = try tensor.dataField(layout) else {
            guard tensor.dataLocation == .external else {
                self.init(unchecked: type, shape: layout.shape)
                return
            }
            guard let folder else {
                throw ModelError(.unreadable, "is in external data, and the model's folder is not known")
            }
            let bytes = try ExternalData(tensor, byteCount: layout.byteCount).read(inFolder: folder)
            self.init(unchecked: type, shape: layout.shape, bytes: type.normalized(bytes))
            return
        }
        let bytes: Data
        switch field {
        case .raw: bytes = tensor.rawData
        case .float: bytes = tensor.floatData.littleEndianBytes
        case .double: bytes = tensor.doubleData.littleEndianBytes
        case .int64: bytes = tensor.int64Data.littleEndianBytes
        case .int32: bytes = try Self.narrowed(tensor.int32Data, to: type)
        case .uint64:
            bytes =
                type == .uint64
                ? tensor.uint64Data.littleEndianBytes
                : try Self.narrowed(tensor.uint64Data, to: UInt32.self, type)
        case .string:
            self.init(unchecked: type, shape: layout.shape, stringBytes: tensor.stringData)
            return
        }
        self.init(unchecked: type, shape: layout.shape, bytes: type.normalized(bytes))
    }

    /// `int32_data` as raw data of `type`.
    private static func narrowed(_ values: [Int32], to type: ElementType) throws(ModelError) -> Data {
        switch type {
        case .int32: values.littleEndianBytes
        case .int16: try narrowed(values, to: Int16.self, type, from: -0x8000)
        case .int8: try narrowed(values, to: Int8.self, type, from: -0x80)
        case .bool: Data(values.map { $0 == 0 ? 0 : 1 })
        case .uint16: try narrowed(values, to: UInt16.self, type)
        case .uint8: try narrowed(values, to: UInt8.self, type)
        // Bits, which writers extend to 32 with or without sign.
        case .float16, .bfloat16: try narrowed(values, to: UInt16.self, type, from: -0x8000)
        default: try narrowed(values, to: UInt8.self, type, from: -0x80)
        }
    }

    private static func narrowed<Wide: FixedWidthInteger, Narrow: FixedWidthInteger & BitwiseCopyable>(
        _ values: [Wide], to narrow: Narrow.Type, _ type: ElementType,
        from least: Wide = 0
    ) throws(ModelError) -> Data {
        if let index = values.firstIndex(where: { $0 < least || $0 > Wide(Narrow.max) }) {
            throw ModelError(
                .malformed, "has the entry \(values[index]) at \(index), outside \(type.name)'s range")
        }
        return values.map { Narrow(truncatingIfNeeded: $0) }.littleEndianBytes
    }
}

extension ElementType {
    /// Raw data of this type in its one canonical form: bools as 0 and 1.
    func normalized(_ bytes: Data) -> Data {
        guard self == .bool, bytes.contains(where: { $0 > 1 }) else { return bytes }
        return Data(bytes.map { $0 == 0 ? 0 : 1 })
    }
}

extension TensorProto {
    /// The message that holds `data` under `name`, as raw data (`string_data` for strings).
    public init(name: String, _ data: TensorData) {
        self.init()
        self.name = name
        dims = data.shape.map { Int64($0) }
        dataType = Int32(data.elementType.rawValue)
        if data.elementType == .string {
            stringData = data.stringBytes
        } else {
            rawData = data.bytes
        }
    }
}
