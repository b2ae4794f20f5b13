import FoundationEssentials
import Glibc

/// A file that appears under its name only when it is complete.
///
/// It is written under another name in the same folder; ``commit()`` flushes it to the disk and renames it.
/// One that is not committed disappears.
final class AtomicFile {
    private let path: String
    private let temporary: String
    private var descriptor: Int32
    /// Bytes written so far.
    private(set) var size = 0

    /// Starts a file that will be at `path`.
    /// - Throws: ``ModelError`` if the folder is missing or not writable, or `path` is a folder.
    init(_ path: String) throws(ModelError) {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            throw ModelError(.unwritable, file: path, "cannot be written: it is a folder")
        }
        self.path = path
        let folder = FileAccess.folder(of: path)
        let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        temporary = "\(folder == "/" ? "" : folder)/.\(FileAccess.name(of: path).prefix(100)).\(suffix).part"
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink(temporary)
    }

    /// Appends `bytes`.
    /// - Throws: ``ModelError``, e.g. if the disk is full.
    func write(_ bytes: Data) throws(ModelError) {
        var done = 0
        while done < bytes.count {
            let (count, code) = bytes.withUnsafeBytes { (raw: UnsafeRawBufferPointer) -> (Int, Int32) in
                guard let base = raw.baseAddress else { return (0, EIO) }
                let count = Glibc.write(descriptor, base + done, raw.count - done)
                return (count, errno)
            }
            if count >= 0 {
                done += count
            } else if code != EINTR {
                errno = code
                throw Self.failure(path)
            }
        }
        size += bytes.count
    }

    /// Appends zeros up to a multiple of `alignment` bytes.
    func pad(to alignment: Int) throws(ModelError) {
        let missing = (alignment - size % alignment) % alignment
        if missing > 0 { try write(Data(count: missing)) }
    }

    /// Makes the file appear, in place of any that is there.
    /// - Throws: ``ModelError`` if it cannot be flushed or renamed; it disappears then.
    func commit() throws(ModelError) {
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw Self.failure(path) }
        close(descriptor)
        descriptor = -1
        // The rename itself is on the disk once the folder is; where a file system cannot do that, it is enough.
        let folder = open(FileAccess.folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    private static func failure(_ path: String) -> ModelError {
        let code = errno
        let problem =
            code == ENOENT
            ? "cannot be written: there is no folder \(quoted(FileAccess.folder(of: path)))"
            : "cannot be written: \(FileAccess.reason(code))"
        let kind: ModelError.Kind = code == ENOSPC || code == EDQUOT ? .diskFull : .unwritable
        return ModelError(kind, file: path, problem)
    }
}
