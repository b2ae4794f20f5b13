internal import FoundationEssentials
internal import Glibc

/// Files that a run leaves.
enum OutputFile {
    /// Checks before any work that a file can be written.
    ///
    /// - Throws: `InputError` that names the path.
    static func checkWritable(_ path: String) throws(InputError) {
        let folder = path.contains("/") ? String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) : "."
        let place = folder.isEmpty ? "/" : folder
        var isFolder: Bool = false
        guard FileManager.default.fileExists(atPath: place, isDirectory: &isFolder), isFolder else {
            throw InputError("cannot write \(path): there is no folder \(place)")
        }
        guard access(place, W_OK) == 0 else { throw InputError("cannot write \(path): \(place) is not writable") }
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder {
            throw InputError("cannot write \(path): it is a folder")
        }
    }
}

/// Paths that another process understands too.
enum AbsolutePath {
    /// `path` from the root, so that it means the same in any folder.
    static func of(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
