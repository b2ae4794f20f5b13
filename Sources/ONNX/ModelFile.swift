internal import Files
public import FoundationEssentials
import Glibc
internal import SwiftProtobuf

/// An ONNX model from a file: read, made self-contained, and checked.
///
/// After loading, `model` is plain: functions are inlined, external data and sparse tensors are dense tensors in
/// the messages, and ``check()`` has passed. Fields that Espalier does not know survive ``write(to:)``.
public struct ModelFile: Sendable {
    /// Bytes that a protobuf message may have.
    public static let largestMessage = 0x7FFF_FFFF - 1
    /// Versions of ai.onnx that are read; 11 to 28 are those that Espalier promises.
    public static let operatorSets = 1...28
    /// Versions of the file format that are read.
    public static let formatVersions: ClosedRange<Int64> = 3...14

    /// The model.
    public var model: ModelProto
    /// The file that the model came from, or the name it was given; errors begin with it.
    public let path: String
    /// The folder that external data is relative to; nil for a model that came from no file.
    public let folder: String?

    /// Reads, checks and flattens the model in a file.
    /// - Parameters:
    ///   - path: a regular file of at most ``largestMessage`` bytes.
    ///   - loadingExternalData: false leaves external data in its files (``TensorData/init(_:folder:)`` reads it),
    ///     with locations and sizes checked all the same.
    /// - Throws: ``ModelError`` if the file is unreadable, no ONNX model, or breaks one of the rules of ``check()``.
    public init(contentsOf path: String, loadingExternalData: Bool = true) throws(ModelError) {
        let model = try locating(file: path) { () throws(ModelError) in
            try FileAccess.reading(path) { (descriptor, size) throws(ModelError) in
                guard size <= Self.largestMessage else {
                    throw ModelError(
                        .unsupported,
                        "has \(size) bytes, and an ONNX file at most 2 GiB: larger ones keep their weights in external data"
                    )
                }
                return try Self.parse(FileAccess.read(descriptor, at: 0, count: size))
            }
        }
        try self.init(model, path: path, folder: FilePath.folder(of: path), loading: loadingExternalData)
    }

    /// Reads, checks and flattens a model from memory.
    /// - Parameters:
    ///   - bytes: a serialised `ModelProto`.
    ///   - name: what errors call it.
    ///   - folder: where external data is; nil refuses it.
    /// - Throws: ``ModelError`` as ``init(contentsOf:loadingExternalData:)``.
    public init(serializedBytes bytes: Data, name: String = "model", folder: String? = nil) throws(ModelError)
    {
        let model = try locating(file: name) { () throws(ModelError) in try Self.parse(bytes) }
        try self.init(model, path: name, folder: folder, loading: true)
    }

    /// A model made in memory, as it is: neither checked nor flattened.
    /// - Parameters:
    ///   - model: the model.
    ///   - name: what errors call it.
    public init(unchecked model: ModelProto, name: String = "model") {
        self.model = model
        self.path = name
        self.folder = nil
    }

    private init(_ model: ModelProto, path: String, folder: String?, loading: Bool) throws(ModelError) {
        self.model = model
        self.path = path
        self.folder = folder
        try locating(file: path) { () throws(ModelError) in
            try ModelCheck(self.model).checkAll()
            try self.model.loadExternalData(folder: folder, reading: loading)
            try self.model.densifySparseTensors()
            guard !self.model.functions.isEmpty else { return }
            self.model = try FunctionInliner(self.model).inlined()
            try ModelCheck(self.model).checkAll()
        }
    }

    private static func parse(_ bytes: Data) throws(ModelError) -> ModelProto {
        guard !bytes.isEmpty else { throw ModelError(.malformed, "is empty") }
        do {
            return try ModelProto(serializedBytes: bytes)
        } catch {
            let problem =
                switch error as? BinaryDecodingError {
                case .truncated: "ends in the middle of a message: it is cut short, or not an ONNX model"
                case .messageDepthLimit: "has messages nested more than 100 deep"
                case .invalidUTF8: "is not an ONNX model: a text in it is no UTF-8"
                default: "is not an ONNX model: its bytes are no protobuf message of that kind"
                }
            throw ModelError(.malformed, problem)
        }
    }

    /// Checks the model against the rules of the ONNX standard that everything above relies on: file format and
    /// operator sets; unique names, each defined before its use in some order (``topologicalOrder()``); outputs
    /// that exist; attributes of the type they say; shapes and tensors that agree with their bytes.
    ///
    /// Operators themselves are not checked: that is for those who know them.
    /// - Throws: ``ModelError`` for the first rule that is broken.
    public func check() throws(ModelError) {
        try locating(file: path) { () throws(ModelError) in try ModelCheck(model).checkAll() }
    }

    /// The version of ai.onnx that the model uses; 0 if it names none (``check()`` refuses that).
    public var operatorSet: Int { operatorSet(of: "") ?? 0 }

    /// The version of a domain's operator set that the model uses, nil if it names none.
    public func operatorSet(of domain: String) -> Int? {
        model.opsetImport.first { canonicalDomain($0.domain) == canonicalDomain(domain) }.map {
            Int($0.version)
        }
    }

    /// The order to run the main graph's nodes in: positions in `model.graph.node`, each after all that it reads.
    /// It is the file's own order where that is a valid one.
    /// - Throws: ``ModelError`` naming a node on a cycle.
    public func topologicalOrder() throws(ModelError) -> [Int] {
        try locating(file: path) { () throws(ModelError) in try model.graph.topologicalOrder() }
    }
}
