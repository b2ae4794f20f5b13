import CZlib

/// Reads the bytes of one array front to back, whether stored or deflated, and checks their checksum.
final class EntryReader {
    /// How an entry's bytes are kept in the archive.
    enum Method: Hashable, Sendable {
        case stored, deflated
    }

    /// Uncompressed bytes that are still to come.
    private(set) var remaining: Int

    private let store: ByteStore
    private let checksum: UInt32?
    private var inflater: Inflater?
    private var offset: Int
    private var crc: UInt = 0

    /// Starts at the first byte.
    ///
    /// - Parameters:
    ///   - store: The archive.
    ///   - offset: Where the entry's (compressed) bytes start.
    ///   - compressedCount: How many compressed bytes there are.
    ///   - count: How many uncompressed bytes there are.
    ///   - checksum: Their CRC-32, or nil if none is known.
    init(
        store: ByteStore, offset: Int, compressedCount: Int, count: Int, method: Method, checksum: UInt32?
    ) throws(DatasetError) {
        self.store = store
        self.offset = offset
        self.checksum = checksum
        remaining = count
        if method == .deflated {
            inflater = try Inflater(store: store, range: offset..<offset + compressedCount)
        }
    }

    /// Fills `buffer` with the next bytes.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) {
        guard buffer.count <= remaining else { throw DatasetError(.malformedArray, "its data end early") }
        if let inflater {
            try inflater.read(into: buffer)
        } else {
            try store.read(at: offset, into: buffer)
            offset += buffer.count
        }
        remaining -= buffer.count
        if checksum != nil, let base = buffer.baseAddress {
            crc = crc32_z(crc, base.assumingMemoryBound(to: UInt8.self), buffer.count)
        }
    }

    /// The next `count` bytes.
    func read(_ count: Int) throws(DatasetError) -> [UInt8] {
        guard count <= remaining else { throw DatasetError(.malformedArray, "its data end early") }
        return try filled(count) { buffer throws(DatasetError) in try read(into: buffer) }
    }

    /// Reads what is left without keeping it, and checks that it was all and unharmed.
    ///
    /// - Throws: `malformedArchive` for a stream that goes on, `checksumMismatch`.
    func finish() throws(DatasetError) {
        while checksum != nil, remaining > 0 { _ = try read(min(remaining, 1 << 20)) }
        if let inflater { try inflater.expectEnd() }
        if let checksum, UInt(checksum) != crc {
            throw DatasetError(.checksumMismatch, "its data are damaged: their checksum is wrong")
        }
    }
}

/// A raw deflate stream within a byte store (RFC 1951), through zlib.
///
/// A class, because zlib keeps a pointer to the stream's state and refuses to work once it has moved.
private final class Inflater {
    private static let chunk = 1 << 16

    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutablePointer<UInt8>
    private let store: ByteStore
    private var range: Range<Int>
    private var ended = false

    init(store: ByteStore, range: Range<Int>) throws(DatasetError) {
        self.store = store
        self.range = range
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(capacity: Self.chunk)
        // Negative window bits: no zlib header and trailer, as within zip files.
        guard inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw DatasetError(.tooLarge, "there is no memory to decompress it")
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        input.deallocate()
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) {
        var done = 0
        while done < buffer.count {
            guard !ended else { throw Self.damaged("its compressed data end early") }
            let room = min(buffer.count - done, Int(Int32.max))
            let base = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
            done += try step(output: base + done, room: room)
        }
    }

    /// Checks that the stream gives nothing more and that its input is used up.
    func expectEnd() throws(DatasetError) {
        var spare: UInt8 = 0
        while !ended {
            guard try step(output: &spare, room: 1) == 0 else {
                throw Self.damaged("it decompresses to more than the archive claims")
            }
        }
        guard range.isEmpty, stream.pointee.avail_in == 0 else {
            throw Self.damaged("its compressed data end before the archive says so")
        }
    }

    private func step(output: UnsafeMutablePointer<UInt8>, room: Int) throws(DatasetError) -> Int {
        if stream.pointee.avail_in == 0 {
            let count = min(range.count, Self.chunk)
            guard count > 0 else { throw Self.damaged("its compressed data are cut off") }
            try store.read(
                at: range.lowerBound, into: UnsafeMutableRawBufferPointer(start: input, count: count))
            range = range.lowerBound + count..<range.upperBound
            stream.pointee.next_in = input
            stream.pointee.avail_in = UInt32(count)
        }
        stream.pointee.next_out = output
        stream.pointee.avail_out = UInt32(room)
        let code = inflate(stream, Z_NO_FLUSH)
        switch code {
        case Z_OK, Z_BUF_ERROR: break
        case Z_STREAM_END: ended = true
        default:
            let detail = stream.pointee.msg.map { " (\(String(cString: $0)))" } ?? ""
            throw Self.damaged("its compressed data are damaged\(detail)")
        }
        return room - Int(stream.pointee.avail_out)
    }

    private static func damaged(_ problem: String) -> DatasetError {
        DatasetError(.malformedArchive, problem)
    }
}
