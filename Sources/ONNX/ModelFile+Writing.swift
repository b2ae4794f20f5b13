internal import Files
public import FoundationEssentials
internal import Glibc
internal import SwiftProtobuf

extension ModelFile {
    /// Bytes of weights from which on ``write(to:externalDataFrom:)`` puts them into a file of their own.
    public static let largestEmbeddedWeights = 3 << 29  // 1.5 GiB: protobuf's 2 GiB with room for the rest

    /// The model as one message, e.g. to send it elsewhere.
    /// - Parameter keepingExternalData: whether external data that was not loaded may stay where it is.
    /// - Throws: ``ModelError`` if it would pass 2 GiB, or has external data that it may not keep.
    public func serialized(keepingExternalData: Bool = false) throws(ModelError) -> Data {
        try locating(file: path) { () throws(ModelError) in
            guard keepingExternalData || !model.containsTensor(where: { $0.dataLocation == .external }) else {
                throw ModelError(.unsupported, "keeps weights in external data that was not loaded")
            }
            return try Self.serialize(model)
        }
    }

    /// Writes the model. The file is complete or not there at all; one that is there already is replaced.
    ///
    /// Initialisers of `threshold` bytes and more altogether go to `PATH.data`, which is in place before the model is.
    /// - Parameters:
    ///   - path: the file; its folder has to exist.
    ///   - threshold: bytes of weights from which on they go to a file of their own.
    /// - Throws: ``ModelError`` saying why `path` cannot be written.
    public func write(
        to path: String, externalDataFrom threshold: Int = ModelFile.largestEmbeddedWeights
    ) throws(ModelError) {
        var model = model
        try locating(file: self.path) { () throws(ModelError) in
            try model.loadExternalData(folder: folder, reading: true)
        }
        try locating(file: path) { () throws(ModelError) in
            let file = try writing(try AtomicFile(path))
            let weights = model.graph.initializer.reduce(0) { $0 + $1.weightBytes }
            if weights >= threshold {
                let data = try writing(try AtomicFile(path + ".data"))
                let location = FilePath.name(of: path) + ".data"
                // Only initialisers: few readers look for external data in attributes.
                var graph = model.graph
                model.clearGraph()
                for index in graph.initializer.indices {
                    try graph.initializer[index].move(to: data, location: location)
                }
                model.graph = graph
                let message = try Self.serialize(model)
                try writing(try file.write(message))
                try writing(try data.commit())
            } else {
                let message = try Self.serialize(model)
                try writing(try file.write(message))
            }
            try writing(try file.commit())
        }
    }

    private static func serialize(_ model: ModelProto) throws(ModelError) -> Data {
        do {
            return try model.serializedBytes()
        } catch {
            throw ModelError(.unsupported, "would have more than 2 GiB, which no ONNX file may")
        }
    }
}

extension TensorProto {
    /// Bytes of the elements but for strings, which never leave the message.
    fileprivate var weightBytes: Int {
        rawData.count + 4 * floatData.count + 4 * int32Data.count
            + 8 * (int64Data.count + doubleData.count + uint64Data.count)
    }

    /// Moves the elements to the end of `file`, unless they are strings or few.
    fileprivate mutating func move(to file: AtomicFile, location: String) throws(ModelError) {
        guard weightBytes >= 1024 else { return }
        let data = try TensorData(self)
        guard data.elementType != .string else { return }
        try writing(try file.pad(to: 64))  // for those who map the file into memory
        let entries = [("location", location), ("offset", "\(file.size)"), ("length", "\(data.bytes.count)")]
        try writing(try file.write(data.bytes))
        clearRawData()
        floatData = []
        int32Data = []
        int64Data = []
        doubleData = []
        uint64Data = []
        dataLocation = .external
        externalData = entries.map { key, value in
            var entry = StringStringEntryProto()
            entry.key = key
            entry.value = value
            return entry
        }
    }
}

/// Puts a failure to write into a model's terms.
private func writing<Value>(_ step: @autoclosure () throws(FileError) -> Value) throws(ModelError) -> Value {
    do throws(FileError) { return try step() } catch { throw ModelError(error) }
}

extension ModelError {
    /// A file that could not be written.
    init(_ error: FileError) {
        let reason =
            switch error.code {
            case ENOENT: "there is no folder \(quoted(FilePath.folder(of: error.path)))"
            case EISDIR: "it is a folder"
            default: error.reason
            }
        self.init(
            error.isDiskFull ? .diskFull : .unwritable, file: error.path, "cannot be written: \(reason)")
    }
}
