internal import Glibc
internal import ONNX

/// The files that a command reads: nothing that it writes may take their place.
public struct GivenFiles {
    private let files: [(name: String, id: FileID)]

    /// A file, whatever it is called.
    private struct FileID: Hashable {
        let device: dev_t
        let number: ino_t

        /// The file at a path, links followed; `nil` where there is none.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            (device, number) = (status.st_dev, status.st_ino)
        }
    }

    /// - Parameters:
    ///   - models: as they were given, with the files of their weights; `nil` for one that was not.
    ///   - data: as they were given.
    ///   - others: paths of other files.
    public init(models: [String?], data: [String?] = [], others: [String?] = []) {
        var paths: [String] = others.compactMap { $0 }
        for model in models.compactMap({ $0 }) {
            guard let path = try? ModelSource.modelPath(model) else { continue }
            paths.append(path)
            // A file that cannot be read is told by whoever needs it.
            paths += (try? ModelFile(contentsOf: path, loadingExternalData: false).externalDataFiles) ?? []
        }
        paths += data.compactMap { $0 }.compactMap { try? ModelSource.dataPath($0) }
        files = paths.compactMap { path in FileID(path).map { (path, $0) } }
    }

    /// Checks before any work that files can be written, and that none of them is one that is read, or another that is written.
    ///
    /// - Parameter outputs: paths; `-` for standard output, `nil` for none.
    /// - Throws: `InputError` that names the path.
    public func check(_ outputs: [String?]) throws(InputError) {
        var written: Set<String> = []
        for path in outputs.compactMap({ $0 }) where path != "-" {
            try OutputFile.checkWritable(path)
            guard written.insert(path).inserted else {
                throw InputError("\(path) would be written twice: give the files different names")
            }
            guard let id = FileID(path), let given = files.first(where: { $0.id == id }) else { continue }
            throw InputError("\(path) is a file that is read (\(given.name)): it would be overwritten")
        }
    }
}

extension OutputFile {
    /// Checks that a folder in which a run begins has no files of the names that a run writes.
    ///
    /// - Throws: `InputError` that names the first.
    static func checkFresh(_ folder: String, _ names: [String]) throws(InputError) {
        for name in names {
            let path = folder + "/" + name
            guard access(path, F_OK) != 0 else {
                throw InputError(
                    "\(folder) holds a file \(name) that is of no run here: name another folder with --run")
            }
        }
    }
}
