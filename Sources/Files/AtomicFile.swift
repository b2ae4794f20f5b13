internal import Glibc

/// A file that appears under its name only when it is complete.
///
/// It is written under another name in the same folder; ``commit()`` flushes it to the disk and renames it. One that is
/// not committed disappears, and a file that was there before stays as it was. Whoever the user's mask allows may read it.
/// A device or a pipe, e.g. /dev/stderr, cannot be replaced by a file: it is written to at once.
///
/// ```swift
/// let file = try AtomicFile("pruned.onnx")
/// try file.write(bytes)
/// try file.commit()
/// ```
public final class AtomicFile {
    private let path: String
    /// The name until it is committed; `nil` for a device.
    private let temporary: String?
    private var descriptor: Int32
    /// Bytes written so far.
    public private(set) var size = 0

    /// Starts a file that will be at `path`.
    ///
    /// - Throws: ``FileError`` if the folder is missing or not writable, or `path` is a folder.
    public init(_ path: String) throws(FileError) {
        self.path = path
        switch AtomicFile.kind(of: path) {
        case S_IFDIR: throw FileError(path: path, code: EISDIR)
        case S_IFREG, nil:
            let name = AtomicFile.temporaryName(for: path)
            temporary = name
            descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        default:
            temporary = nil
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw failure }
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        if let temporary { unlink(temporary) }
    }

    /// Appends `bytes`.
    ///
    /// - Throws: ``FileError``, e.g. if the disk is full.
    public func write(_ bytes: some Collection<UInt8>) throws(FileError) {
        try OpenFile.write(bytes, to: descriptor, path: path, isDevice: temporary == nil)
        size += bytes.count
    }

    /// Appends zeros up to a multiple of `alignment` bytes.
    ///
    /// - Throws: ``FileError``, e.g. if the disk is full.
    public func pad(to alignment: Int) throws(FileError) {
        let missing = (alignment - size % alignment) % alignment
        if missing > 0 { try write([UInt8](repeating: 0, count: missing)) }
    }

    /// Makes the file appear, in place of any that is there.
    ///
    /// - Throws: ``FileError`` if it cannot be flushed or renamed.
    public func commit() throws(FileError) {
        if let temporary {
            guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw failure }
        }
        close(descriptor)
        descriptor = -1
        if temporary != nil { AtomicFile.flush(folder: FilePath.folder(of: path)) }
    }

    /// What the system has just said.
    private var failure: FileError { FileError(path: path, code: errno, isDevice: temporary == nil) }

    /// The kind of file that `path` is, one of `S_IF…`; `nil` when there is none.
    private static func kind(of path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    private static func temporaryName(for path: String) -> String {
        let folder = FilePath.folder(of: path)
        // With all that is added it has to stay below the 255 bytes that a name may have.
        let name = String(decoding: FilePath.name(of: path).utf8.prefix(100), as: UTF8.self)
        let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        return "\(folder == "/" ? "" : folder)/.\(name).\(suffix).part"
    }

    /// A rename is on the disk once its folder is; where a file system cannot do that, the rename is enough.
    private static func flush(folder path: String) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }
}
