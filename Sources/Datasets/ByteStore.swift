import Files
import Foundation

/// Bytes at fixed offsets: a file, read piece by piece, or memory.
///
/// Files are read with `pread` straight into their destination rather than mapped: that copies as little, and
/// a file that shrinks meanwhile is an error instead of a bus error.
enum ByteStore: Sendable {
    case file(ReadableFile)
    case memory([UInt8])

    /// Number of bytes.
    var count: Int {
        switch self {
        case .file(let file): file.size
        case .memory(let bytes): bytes.count
        }
    }

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// - Throws: `unreadableFile`, also if there are not as many bytes.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) {
        guard offset >= 0, buffer.count <= count, offset <= count - buffer.count else {
            throw DatasetError(.malformedArchive, "it ends early (\(count) bytes)")
        }
        switch self {
        case .file(let file): try file.read(at: offset, into: buffer)
        case .memory(let bytes):
            bytes.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
            }
        }
    }

    /// The `count` bytes at `offset`.
    func bytes(at offset: Int, count: Int) throws(DatasetError) -> [UInt8] {
        guard count >= 0, offset >= 0, count <= self.count, offset <= self.count - count else {
            throw DatasetError(.malformedArchive, "it ends early (\(self.count) bytes)")
        }
        return try filled(count) { buffer throws(DatasetError) in try read(at: offset, into: buffer) }
    }
}

/// An array of `count` bytes that `fill` writes; what `fill` throws is thrown.
func filled(
    _ count: Int, _ fill: (UnsafeMutableRawBufferPointer) throws(DatasetError) -> Void
) throws(DatasetError) -> [UInt8] {
    var failure: DatasetError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
        do throws(DatasetError) {
            try fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
            initialized = count
        } catch {
            failure = error
        }
    }
    if let failure { throw failure }
    return bytes
}

/// A regular file, opened for reading; closed with its last reference.
final class ReadableFile: Sendable {
    /// Size in bytes when it was opened.
    let size: Int
    private let descriptor: Int32

    /// Opens a file.
    ///
    /// - Throws: `unreadableFile` if it is not there, not readable, or no regular file.
    init(path: String) throws(DatasetError) {
        // Not blocking: opening a pipe without a writer would wait for one.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw DatasetError(.unreadableFile, "it cannot be opened: \(FileError.reason(errno))", file: path)
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw DatasetError(.unreadableFile, "it is not a regular file", file: path)
        }
        self.descriptor = descriptor
        size = Int(status.st_size)
    }

    deinit { close(descriptor) }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DatasetError) {
        var done = 0
        while done < buffer.count {
            let got = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, offset + done)
            if got > 0 {
                done += got
            } else if got == 0 {
                throw DatasetError(.unreadableFile, "it became shorter while it was read")
            } else if errno != EINTR {
                throw DatasetError(.unreadableFile, "it cannot be read: \(FileError.reason(errno))")
            }
        }
    }
}

extension Int {
    /// The value of up to 8 little-endian bytes; `Int.max` for what does not fit.
    init(littleEndian bytes: ArraySlice<UInt8>) {
        let value = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        self = Int(clamping: value)
    }
}
