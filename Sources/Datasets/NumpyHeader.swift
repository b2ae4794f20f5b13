/// What an array's `.npy` header says: format versions 1.0, 2.0 and 3.0 (NumPy enhancement proposal 1 and
/// `numpy.lib.format`).
public struct NumpyHeader: Hashable, Sendable {
    /// The type of every element.
    public let elementType: NumpyElementType
    /// Length of every dimension; empty for a scalar.
    public let shape: [Int]
    /// True if the first dimension varies fastest in the file.
    public let isFortranOrder: Bool
    /// True if elements are stored most significant byte first.
    public let isBigEndian: Bool

    /// Bytes of the array's data, which follow the header.
    public var byteCount: Int { NumpyArray.byteCount(shape: shape, elementType: elementType) ?? 0 }

    /// More dimensions than NumPy itself allows (64 since 2.0).
    static let maximumRank = 64
    /// A header says a dictionary of three entries; anything near this long is not one.
    static let maximumLength = 1 << 20
    static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]

    init(elementType: NumpyElementType, shape: [Int], isFortranOrder: Bool = false, isBigEndian: Bool = false)
    {
        self.elementType = elementType
        self.shape = shape
        self.isFortranOrder = isFortranOrder
        self.isBigEndian = isBigEndian
    }

    /// Reads magic, version and dictionary from the start of an array's bytes.
    ///
    /// - Throws: `malformedArray`, `unsupportedElementType`, or what reading the bytes throws.
    init(from reader: EntryReader) throws(DatasetError) {
        guard reader.remaining >= 10 else { throw Self.malformed("it is too short to be a .npy array") }
        let start = try reader.read(8)
        guard start.prefix(6).elementsEqual(Self.magic) else {
            throw Self.malformed("it does not begin like a .npy array")
        }
        let wide = start[6] >= 2
        guard (1...3).contains(start[6]) else {
            throw Self.malformed("it has .npy format version \(start[6]).\(start[7]); 1, 2 and 3 are read")
        }
        guard reader.remaining >= 4 else { throw Self.malformed("its header is cut off") }
        let length = try Int(littleEndian: reader.read(wide ? 4 : 2)[...])
        guard length <= reader.remaining, length <= Self.maximumLength else {
            throw Self.malformed("its header claims \(length) bytes, more than there can be")
        }
        guard let text = try String(validating: reader.read(length), as: UTF8.self) else {
            throw Self.malformed("its header is not text")
        }
        try self.init(dictionary: text)
    }

    /// Reads the Python dictionary literal that describes an array.
    init(dictionary text: String) throws(DatasetError) {
        var literal = PythonLiteral(text)
        guard case .dictionary(let entries)? = literal.parse() else {
            throw Self.malformed("its header is no Python dictionary: \(text.prefix(80))")
        }
        guard case .boolean(let fortran)? = entries["fortran_order"] else {
            throw Self.malformed("its header has no fortran_order")
        }
        guard case .tuple(let items)? = entries["shape"] else {
            throw Self.malformed("its header has no shape")
        }
        var lengths: [Int] = []
        for item in items {
            guard case .integer(let length) = item, length >= 0 else {
                throw Self.malformed("its shape has a dimension that is no count")
            }
            lengths.append(length)
        }
        let descriptor: String
        switch entries["descr"] {
        case .string(let text)?: descriptor = text
        case .list?:
            throw DatasetError(
                .unsupportedElementType, "its elements are records of several fields; save each as an array")
        default: throw Self.malformed("its header has no descr")
        }
        let (type, bigEndian) = try NumpyElementType.parse(descriptor: descriptor)
        guard lengths.count <= Self.maximumRank,
            NumpyArray.byteCount(shape: lengths, elementType: type) != nil
        else { throw Self.malformed("its shape \(lengths) is larger than any memory") }
        self.init(elementType: type, shape: lengths, isFortranOrder: fortran, isBigEndian: bigEndian)
    }

    /// Magic, version 1.0 and dictionary, padded so that the data start at a multiple of 64 bytes.
    var encoded: [UInt8] {
        let lengths = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var text = Array(
            "{'descr': '\(elementType.descriptor)', 'fortran_order': False, 'shape': (\(lengths)), }".utf8)
        let padding = (64 - (Self.magic.count + 4 + text.count + 1) % 64) % 64
        text += [UInt8](repeating: 0x20, count: padding) + [0x0A]
        return Self.magic + [1, 0, UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + text
    }

    private static func malformed(_ problem: String) -> DatasetError {
        DatasetError(.malformedArray, problem)
    }
}
