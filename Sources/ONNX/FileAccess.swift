import Files
import FoundationEssentials
import Glibc

/// Reading regular files, with the system's own words for what goes wrong.
enum FileAccess {
    /// `path` absolute and without symbolic links; nil, with `errno` set, if it cannot be resolved.
    static func resolved(_ path: String) -> String? {
        guard let pointer = realpath(path, nil) else { return nil }
        defer { free(pointer) }
        return String(cString: pointer)
    }

    /// Opens the regular file at `path`, hands its descriptor and size to `body`, and closes it.
    /// - Throws: ``ModelError`` if it cannot be opened or is no regular file.
    static func reading<Result>(
        _ path: String, flags: Int32 = 0,
        _ body: (_ descriptor: Int32, _ size: Int) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        // Not blocking: opening a pipe without a writer would wait for one.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags)
        guard descriptor >= 0 else {
            throw ModelError(.unreadable, file: path, "cannot be opened: \(FileError.reason(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw ModelError(.unreadable, file: path, "cannot be read: \(FileError.reason(errno))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "no regular file"
            throw ModelError(.unreadable, file: path, "is \(kind)")
        }
        return try body(descriptor, Int(status.st_size))
    }

    /// Fills `buffer` from `offset` of an open file.
    /// - Throws: ``ModelError`` if reading fails or the file ends first.
    static func read(
        _ descriptor: Int32, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ModelError) {
        var done = 0
        while done < buffer.count, let base = buffer.baseAddress {
            let count = pread(descriptor, base + done, buffer.count - done, off_t(offset + done))
            if count > 0 {
                done += count
            } else if count == 0 {
                throw ModelError(.unreadable, "ended while it was read: something else is changing it")
            } else if errno != EINTR {
                throw ModelError(.unreadable, "cannot be read: \(FileError.reason(errno))")
            }
        }
    }

    /// `count` bytes from `offset` of an open file.
    static func read(_ descriptor: Int32, at offset: Int, count: Int) throws(ModelError) -> Data {
        guard count > 0 else { return Data() }
        guard let memory = malloc(count) else {
            throw ModelError(.unreadable, "needs \(count) bytes of memory, more than there is")
        }
        do {
            try read(descriptor, at: offset, into: UnsafeMutableRawBufferPointer(start: memory, count: count))
        } catch {
            free(memory)
            throw error
        }
        return Data(bytesNoCopy: memory, count: count, deallocator: .free)
    }
}
