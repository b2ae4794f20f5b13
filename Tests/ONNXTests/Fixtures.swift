import Foundation
import ONNX

/// Files made by `Scripts/fixtures/make-onnx-fixtures.py`, and folders to write in.
enum Fixtures {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

    static func path(_ name: String) -> String { folder.appending(path: name).path(percentEncoded: false) }

    static func data(_ name: String) throws -> Data { try Data(contentsOf: folder.appending(path: name)) }

    static func model(_ name: String) throws -> ModelFile { try ModelFile(contentsOf: path(name)) }

    /// Calls `body` with the path of an empty folder, and removes it afterwards.
    static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "ONNXTests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path(percentEncoded: false))
    }
}

/// x [N, 4] float32 → `nodes` → y, at opset 18.
func model(
    _ nodes: [NodeProto], initializers: [TensorProto] = [], functions: [FunctionProto] = [],
    outputs: [String] = ["y"]
) -> ModelProto {
    var model = ModelProto()
    model.irVersion = 10
    model.opsetImport = [OperatorSetIdProto(domain: "", version: 18)]
    model.graph.name = "test"
    model.graph.node = nodes
    model.graph.initializer = initializers
    model.graph.input = [ValueInfoProto(name: "x", .float32, shape: [nil, 4])]
    model.graph.output = outputs.map { ValueInfoProto(name: $0, .float32, shape: [nil, 4]) }
    model.functions = functions
    return model
}

/// Reads `model` as a file with its bytes would be read.
func read(_ model: ModelProto, folder: String? = nil) throws -> ModelFile {
    try ModelFile(
        serializedBytes: ModelFile(unchecked: model).serialized(keepingExternalData: true), name: "test.onnx",
        folder: folder)
}

/// A float32 vector.
func vector(_ name: String, _ values: [Float]) throws -> TensorProto {
    TensorProto(name: name, try TensorData(floats: values, shape: [values.count]))
}
