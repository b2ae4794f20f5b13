/// Writes payloads and results: little-endian numbers, texts and lists with their lengths before them.
public struct ByteWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []

    /// Nothing yet, with room for so many bytes.
    public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// One byte.
    public mutating func write(_ byte: UInt8) { bytes.append(byte) }

    /// A number in four bytes, little-endian; one that does not fit is clamped.
    public mutating func write(_ number: Int) {
        withUnsafeBytes(of: UInt32(clamping: number).littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Bytes as they are.
    public mutating func write(raw other: [UInt8]) { bytes += other }

    /// A text in UTF-8, with its length before it.
    public mutating func write(_ text: String) {
        write(text.utf8.count)
        bytes += text.utf8
    }

    /// A content's size and hash; a size of 0 for none.
    public mutating func write(_ content: ContentID?) {
        write(content?.size ?? 0)
        if let content { write(raw: content.sha256) }
    }

    /// Numbers in four bytes each, with their count before them.
    public mutating func write(_ numbers: [Int]) {
        write(numbers.count)
        for number in numbers { write(number) }
    }

    /// Floats, bit for bit, without a count.
    public mutating func write(raw floats: [Float]) {
        #if _endian(little)
            floats.withUnsafeBytes { bytes.append(contentsOf: $0) }
        #else
            for float in floats {
                withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
            }
        #endif
    }

    /// Doubles, bit for bit, without a count.
    public mutating func write(raw doubles: [Double]) {
        for double in doubles {
            withUnsafeBytes(of: double.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        }
    }

    /// Numbers in four bytes each, without a count.
    public mutating func write(raw numbers: [UInt32]) {
        #if _endian(little)
            numbers.withUnsafeBytes { bytes.append(contentsOf: $0) }
        #else
            for number in numbers {
                withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
            }
        #endif
    }
}

/// Reads what ``ByteWriter`` wrote. Trusts nothing: a count is checked against the bytes that are there before anything is
/// allocated for it.
public struct ByteReader: ~Copyable {
    private let bytes: [UInt8]
    private var position = 0

    /// From the first byte on.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// How many bytes are left.
    public var remaining: Int { bytes.count - position }

    private mutating func take(_ count: Int, of size: Int = 1) throws(WorkMismatch) -> Int {
        guard count >= 0, count <= remaining / size else { throw WorkMismatch("ends too early") }
        defer { position += count * size }
        return position
    }

    private mutating func load<Number: FixedWidthInteger>(_ type: Number.Type) throws(WorkMismatch) -> Number
    {
        let start = try take(MemoryLayout<Number>.size)
        return Number(
            littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: Number.self) })
    }

    /// One byte.
    public mutating func byte() throws(WorkMismatch) -> UInt8 { bytes[try take(1)] }

    /// A number of four bytes.
    public mutating func number() throws(WorkMismatch) -> Int { Int(try load(UInt32.self)) }

    /// So many bytes as they are.
    public mutating func raw(_ count: Int) throws(WorkMismatch) -> [UInt8] {
        let start = try take(count)
        return Array(bytes[start..<start + count])
    }

    /// A text of at most `limit` bytes.
    public mutating func text(limit: Int = 1 << 22) throws(WorkMismatch) -> String {
        let count = try number()
        guard count <= limit else { throw WorkMismatch("has a text of \(count) bytes") }
        let start = try take(count)
        guard let text = String(validating: bytes[start..<start + count], as: UTF8.self) else {
            throw WorkMismatch("has a text that is none")
        }
        return text
    }

    /// A content's size and hash; `nil` for a size of 0.
    public mutating func content() throws(WorkMismatch) -> ContentID? {
        let size = try number()
        return size > 0 ? ContentID(sha256: try raw(32), size: size) : nil
    }

    /// Numbers of four bytes each, their count before them.
    public mutating func numbers() throws(WorkMismatch) -> [Int] {
        let count = try number()
        return try numbers32(count).map(Int.init)
    }

    /// So many numbers of four bytes each.
    public mutating func numbers32(_ count: Int) throws(WorkMismatch) -> [UInt32] {
        let start = try take(count, of: 4)
        return copy(count, from: start, as: UInt32.self).map(UInt32.init(littleEndian:))
    }

    /// So many floats.
    public mutating func floats(_ count: Int) throws(WorkMismatch) -> [Float] {
        let start = try take(count, of: 4)
        #if _endian(little)
            return copy(count, from: start, as: Float.self)
        #else
            return copy(count, from: start, as: UInt32.self).map {
                Float(bitPattern: UInt32(littleEndian: $0))
            }
        #endif
    }

    /// So many doubles.
    public mutating func doubles(_ count: Int) throws(WorkMismatch) -> [Double] {
        let start = try take(count, of: 8)
        return copy(count, from: start, as: UInt64.self).map { Double(bitPattern: UInt64(littleEndian: $0)) }
    }

    private func copy<Number: BitwiseCopyable>(_ count: Int, from start: Int, as type: Number.Type)
        -> [Number]
    {
        [Number](unsafeUninitializedCapacity: count) { buffer, initialized in
            bytes.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(buffer).copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: $0[start..<start + count * MemoryLayout<Number>.stride]))
            }
            initialized = count
        }
    }

    /// Checks that everything was read.
    public consuming func finish() throws(WorkMismatch) {
        guard remaining == 0 else { throw WorkMismatch("has \(remaining) bytes more than it should") }
    }
}
