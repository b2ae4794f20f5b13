internal import Files
internal import FoundationEssentials
internal import Glibc

/// Files that a command leaves.
public enum OutputFile {
    /// Checks before any work that a file can be written; `-`, standard output, always can.
    ///
    /// - Throws: `InputError` that names the path.
    public static func checkWritable(_ path: String) throws(InputError) {
        if path == "-" { return }
        let place = FilePath.folder(of: path)
        guard isFolder(place) else { throw InputError("cannot write \(path): there is no folder \(place)") }
        guard access(place, W_OK) == 0 else {
            throw InputError("cannot write \(path): \(place) is not writable")
        }
        if isFolder(path) { throw InputError("cannot write \(path): it is a folder") }
    }

    /// Checks before any work that a folder can be made, with those that it lies in, or is there.
    ///
    /// - Throws: `InputError` that names the path.
    static func checkFolder(_ path: String) throws(InputError) {
        var place = path
        while !FileManager.default.fileExists(atPath: place) && place != FilePath.folder(of: place) {
            place = FilePath.folder(of: place)
        }
        guard isFolder(place) else { throw InputError("cannot write to \(path): \(place) is no folder") }
        guard access(place, W_OK) == 0 else {
            throw InputError("cannot write to \(path): \(place) is not writable")
        }
    }

    /// Makes a folder, with those that it lies in, unless it is there.
    ///
    /// - Throws: `InputError` that names the path.
    static func makeFolder(_ path: String) throws(InputError) {
        try checkFolder(path)
        do { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) } catch
        {
            throw InputError("cannot make the folder \(path): \(error)")
        }
    }

    /// Writes bytes, complete or not at all.
    ///
    /// - Throws: `FileError` that names the path.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let file = try AtomicFile(path)
        try file.write(bytes)
        try file.commit()
    }

    private static func isFolder(_ path: String) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }
}

/// Paths that another process understands too.
enum AbsolutePath {
    /// `path` from the root, so that it means the same in any folder.
    static func of(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
