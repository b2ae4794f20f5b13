import Foundation

/// The arrays of an `.npz` archive, or the one array of an `.npy` file; data are read when asked for.
///
/// ```swift
/// let archive = try NumpyArchive(contentsOf: "digits.npz")
/// let images = try archive.array(named: "input", rows: 2048)
/// ```
public struct NumpyArchive: Sendable {
    /// The file's path, as it was given.
    public let path: String
    /// The arrays' names, in the archive's order.
    public let names: [String]

    private let store: ByteStore
    private let entries: [String: ZipDirectory.Entry]

    /// Opens an archive and reads its directory, but no array.
    ///
    /// - Parameters:
    ///   - path: An `.npz` or `.npy` file; told apart by content.
    ///   - arrayName: The name for the array of an `.npy` file.
    /// - Throws: `unreadableFile`, `malformedArchive`.
    public init(contentsOf path: String, arrayName: String = "input") throws(DatasetError) {
        try self.init(.file(ReadableFile(path: path)), path: path, arrayName: arrayName)
    }

    /// Opens an archive that is in memory; `path` is what errors call it.
    ///
    /// - Throws: `malformedArchive`.
    public init(bytes: [UInt8], path: String, arrayName: String = "input") throws(DatasetError) {
        try self.init(.memory(bytes), path: path, arrayName: arrayName)
    }

    private init(_ store: ByteStore, path: String, arrayName: String) throws(DatasetError) {
        self.path = path
        self.store = store
        let magic = NumpyHeader.magic
        let start = try locating(file: path) { () throws(DatasetError) in
            try store.bytes(at: 0, count: min(store.count, magic.count))
        }
        if start == magic {
            names = [arrayName]
            entries = [
                arrayName: ZipDirectory.Entry(
                    name: arrayName, method: .stored, checksum: 0, compressedCount: store.count,
                    count: store.count, headerOffset: -1)
            ]
            return
        }
        let directory = try locating(file: path) { () throws(DatasetError) in try ZipDirectory(store) }
        var names: [String] = []
        var entries: [String: ZipDirectory.Entry] = [:]
        for entry in directory.entries where entry.name.hasSuffix(".npy") {
            let name = String(entry.name.dropLast(4))
            guard entries.updateValue(entry, forKey: name) == nil else {
                throw DatasetError(.malformedArchive, "two arrays have this name", file: path, array: name)
            }
            names.append(name)
        }
        self.names = names
        self.entries = entries
    }

    /// Type and shape of an array, without reading its data.
    ///
    /// - Throws: `missingArray`, `malformedArray`, `unsupportedElementType`, `malformedArchive`.
    public func header(of name: String) throws(DatasetError) -> NumpyHeader {
        try locating(file: path, array: name) { () throws(DatasetError) in
            try open(name).header
        }
    }

    /// Reads an array.
    ///
    /// Data of which only the first rows are wanted are still read to their end, for their checksum, but are
    /// not kept.
    ///
    /// - Parameters:
    ///   - name: The array's name.
    ///   - rows: How many entries of the first dimension to keep; nil or more than there are: all.
    /// - Throws: `missingArray`, `malformedArray`, `malformedArchive`, `checksumMismatch`, `tooLarge`,
    ///   `unsupportedElementType`.
    public func array(named name: String, rows: Int? = nil) throws(DatasetError) -> NumpyArray {
        try locating(file: path, array: name) { () throws(DatasetError) in
            let (header, reader) = try open(name)
            var shape = header.shape
            if let rows, let first = shape.first, !header.isFortranOrder {
                shape[0] = min(first, max(rows, 0))
            }
            let count = NumpyArray.byteCount(shape: shape, elementType: header.elementType) ?? .max
            guard count <= ProcessInfo.processInfo.physicalMemory else {
                throw DatasetError(.tooLarge, "its \(count) bytes are more than this machine's memory")
            }
            let bytes = try reader.read(count)
            try reader.finish()
            let array = NumpyArray(decoding: bytes, shape: shape, header: header)
            return rows.map { array.prefix(rows: $0) } ?? array
        }
    }

    /// Reads an array's header and leaves the reader at its first element.
    private func open(_ name: String) throws(DatasetError) -> (header: NumpyHeader, reader: EntryReader) {
        guard let entry = entries[name] else {
            throw DatasetError(
                .missingArray,
                "there is no such array; there are \(names.map { "'\($0)'" }.joined(separator: ", "))")
        }
        let reader = try EntryReader(
            store: store, offset: entry.dataOffset, compressedCount: entry.compressedCount,
            count: entry.count,
            method: entry.method, checksum: entry.headerOffset < 0 ? nil : entry.checksum)
        let header = try NumpyHeader(from: reader)
        guard reader.remaining == header.byteCount else {
            throw DatasetError(
                .malformedArray,
                "\(header.elementType.rawValue)\(header.shape) needs \(header.byteCount) bytes, but there are "
                    + "\(reader.remaining)")
        }
        return (header, reader)
    }
}
