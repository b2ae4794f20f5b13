import Files
import FoundationEssentials
import Glibc

/// Where a tensor's elements are outside the model file: `external_data`, checked.
///
/// Source: ONNX, docs/ExternalData.md. A model comes from strangers, so the location has to stay inside the
/// model's folder: no absolute path, no `..`, and no symbolic link that leads elsewhere.
struct ExternalData: Hashable {
    /// A path relative to the model's folder.
    let location: String
    /// Bytes before the elements.
    let offset: Int
    /// Bytes of the elements.
    let length: Int
    /// Whether the file ends with the elements, because the message names no length.
    let endsFile: Bool

    /// Reads a message's `external_data`.
    /// - Parameter byteCount: bytes that the elements take by type and shape.
    /// - Throws: ``ModelError`` if an entry is missing, repeated or no number, if the length is another than
    ///   `byteCount`, or if the location may lead out of the folder.
    init(_ tensor: TensorProto, byteCount: Int) throws(ModelError) {
        var entries: [String: String] = [:]
        for entry in tensor.externalData {
            guard entries.updateValue(entry.value, forKey: entry.key) == nil else {
                throw ModelError(.malformed, "has two entries \(quoted(entry.key)) in external_data")
            }
        }
        func number(_ key: String) throws(ModelError) -> Int? {
            guard let text = entries[key] else { return nil }
            guard let value = Int(text), value >= 0 else {
                throw ModelError(.malformed, "has \(quoted(text)) as external_data's \(key)")
            }
            return value
        }
        guard let location = entries["location"], !location.isEmpty else {
            throw ModelError(.malformed, "has external data without a location")
        }
        let parts = location.split(separator: "/", omittingEmptySubsequences: false)
        guard !location.utf8.contains(0), !location.hasPrefix("/"), !parts.contains(".."),
            !location.contains("\\")
        else {
            throw ModelError(
                .invalid,
                "has external data at \(quoted(location)), which is no path inside the model's folder")
        }
        let length = try number("length")
        guard length == nil || length == byteCount else {
            throw ModelError(
                .malformed, "has \(length ?? 0) bytes of external data where its shape needs \(byteCount)")
        }
        self.location = location
        self.offset = try number("offset") ?? 0
        self.length = byteCount
        self.endsFile = length == nil
    }

    /// Opens the file and checks that it holds the elements.
    /// - Throws: ``ModelError`` if it lies outside `folder`, is unreadable or too short.
    func withFile<Result>(
        inFolder folder: String, _ body: (_ descriptor: Int32, _ size: Int) throws(ModelError) -> Result
    ) throws(ModelError) -> Result {
        let path = folder.hasSuffix("/") ? folder + location : folder + "/" + location
        guard let root = FileAccess.resolved(folder), let resolved = FileAccess.resolved(path) else {
            throw ModelError(.unreadable, "has external data at \(quoted(path)): \(FileError.reason(errno))")
        }
        guard resolved.hasPrefix(root == "/" ? "/" : root + "/") else {
            throw ModelError(
                .invalid, "has external data at \(quoted(path)), a link that leads out of the model's folder")
        }
        // The path is resolved; a link that appears in its last place from here on is not followed.
        return try FileAccess.reading(resolved, flags: O_NOFOLLOW) { (descriptor, size) throws(ModelError) in
            let (end, overflow) = offset.addingReportingOverflow(length)
            guard !overflow, end <= size, !endsFile || end == size else {
                throw ModelError(
                    .malformed,
                    "has \(length) bytes of external data from byte \(offset) of \(quoted(location)), "
                        + "which has \(size) bytes")
            }
            return try body(descriptor, size)
        }
    }

    /// The elements as raw data.
    func read(inFolder folder: String) throws(ModelError) -> Data {
        try withFile(inFolder: folder) { (descriptor, _) throws(ModelError) in
            try FileAccess.read(descriptor, at: offset, count: length)
        }
    }
}

/// Reads external data, each range of a file once, and never more than the files hold.
struct ExternalDataReader {
    private let folder: String
    private var ranges: [ExternalData: Data] = [:]
    private var unread: [String: Int] = [:]

    init(folder: String) {
        self.folder = folder
    }

    /// Moves `tensor`'s elements into the message; tensors that name the same range share its memory.
    /// - Throws: ``ModelError`` also where ranges overlap so that a small file would fill the memory.
    mutating func load(_ tensor: inout TensorProto) throws(ModelError) {
        guard tensor.dataLocation == .external else { return }
        try tensor.checkElements()
        let source = try ExternalData(tensor, byteCount: try tensor.layout().byteCount)
        if ranges[source] == nil {
            var left = unread[source.location]
            ranges[source] = try source.withFile(inFolder: folder) { (descriptor, size) throws(ModelError) in
                let before = left ?? size
                guard source.length <= before else {
                    throw ModelError(
                        .malformed,
                        "has external data that overlaps other tensors' in \(quoted(source.location))")
                }
                left = before - source.length
                return try FileAccess.read(descriptor, at: source.offset, count: source.length)
            }
            unread[source.location] = left
        }
        tensor.rawData = ranges[source] ?? Data()
        tensor.clearDataLocation()
        tensor.externalData = []
    }
}
