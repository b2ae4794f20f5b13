public import ComputationGraph
internal import Engine
internal import Files
internal import FoundationEssentials
internal import ONNX

/// Where models and data come from: paths, or the bundled examples by name.
public enum ModelSource {
    /// The model file that an argument names: a path, or `example:NAME`.
    ///
    /// - Throws: `InputError` for an example that there is not.
    public static func modelPath(_ argument: String) throws -> String {
        guard let example = try exampleFolder(argument) else { return argument }
        return example + "/model.onnx"
    }

    /// The data that an argument names: a path, or `example:NAME/PART` with PART `calibration` (the default) or
    /// `held-out`.
    public static func dataPath(_ argument: String) throws -> String {
        guard argument.hasPrefix(prefix) else { return argument }
        let parts = argument.split(separator: "/", maxSplits: 1).map(String.init)
        guard let folder = try exampleFolder(parts[0]) else { return argument }
        return "\(folder)/\(parts.count > 1 ? parts[1] : "calibration").npz"
    }

    /// The data to use when none is given: an example's own calibration part.
    public static func defaultData(for model: String) -> String? { model.hasPrefix(prefix) ? model : nil }

    /// Reads and checks a model and its graph.
    ///
    /// - Throws: `EngineError.cannotRun` that names every operator that is not supported.
    public static func graph(_ argument: String) throws -> Graph {
        try Graph.executable(ModelFile(contentsOf: modelPath(argument)))
    }

    /// A model's graph, and what in it cannot be computed.
    static func examined(_ argument: String) throws -> (graph: Graph, unsupported: [UnsupportedOperator]) {
        try Graph.examined(ModelFile(contentsOf: modelPath(argument)))
    }

    private static let prefix = "example:"

    private static func exampleFolder(_ argument: String) throws -> String? {
        guard argument.hasPrefix(prefix) else { return nil }
        let name = String(argument.dropFirst(prefix.count))
        let folders = exampleRoots.filter { FileManager.default.fileExists(atPath: $0) }
        for root in folders where FileManager.default.fileExists(atPath: "\(root)/\(name)/model.onnx") {
            return "\(root)/\(name)"
        }
        let names = folders.flatMap { root in
            ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).filter {
                FileManager.default.fileExists(atPath: "\(root)/\($0)/model.onnx")
            }
        }
        throw InputError(
            names.isEmpty
                ? "there is no example '\(name)': the Examples folder was not found (set ESPALIER_EXAMPLES to it)"
                : "there is no example '\(name)'; there are \(Set(names).sorted().joined(separator: ", "))"
                    + Suggestion.text(for: name, among: Set(names).sorted()))
    }

    /// `$ESPALIER_EXAMPLES`, or `Examples` in a folder above the executable.
    private static var exampleRoots: [String] {
        var roots: [String] = []
        if let given = ProcessInfo.processInfo.environment["ESPALIER_EXAMPLES"] { roots.append(given) }
        if let executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
            var folder = URL(filePath: executable).deletingLastPathComponent()
            for _ in 0..<6 {
                roots.append(folder.appending(path: "Examples").path)
                roots.append(folder.appending(path: "share/espalier/Examples").path)
                folder = folder.deletingLastPathComponent()
            }
        }
        return roots
    }
}

/// Something that a user gave is wrong.
public struct InputError: Error, Sendable, CustomStringConvertible {
    /// The error as a sentence.
    public let description: String
    /// An error that reads as `description`.
    public init(_ description: String) { self.description = description }
}
