internal import Foundation

/// What a run is made from. Model, data and settings decide its result to the last bit; the rest is for the record.
public struct RunIdentity: Sendable, Hashable {
    /// The model file, as the user named it.
    public var modelPath: String
    /// The SHA-256 of the model file, in hexadecimal.
    public var modelSHA256: String
    /// The data file, as the user named it.
    public var dataPath: String
    /// The SHA-256 of the data file, in hexadecimal.
    public var dataSHA256: String
    /// Every setting that decides the result, as a JSON object.
    public var settings: String
    /// The version of Espalier. A run is resumed by another one only where that is asked for.
    public var version: String
    /// The arguments of the program. A run may be resumed with other ones where the settings agree.
    public var commandLine: [String]
    /// The folder in which they were typed, from which their relative paths count; `nil` where that was not kept.
    public var directory: String?

    /// An identity with its settings as JSON text.
    public init(
        modelPath: String, modelSHA256: String, dataPath: String, dataSHA256: String, settings: String,
        version: String, commandLine: [String], directory: String? = nil
    ) {
        self.modelPath = modelPath
        self.modelSHA256 = modelSHA256
        self.dataPath = dataPath
        self.dataSHA256 = dataSHA256
        self.settings = settings
        self.version = version
        self.commandLine = commandLine
        self.directory = directory
    }

    /// The folder from which relative paths count now.
    public static var currentDirectory: String { FileManager.default.currentDirectoryPath }

    /// The canonical JSON text of settings: keys sorted, numbers with all their digits.
    ///
    /// - Throws: `EncodingError` for a number that JSON has no form for.
    public static func json(of settings: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(settings), as: UTF8.self)
    }

    /// Another file than the run's, with both.
    func otherFile(in other: RunIdentity) -> (field: String, own: String, other: String)? {
        if modelSHA256 != other.modelSHA256 {
            return (
                "model", "\(modelPath) (SHA-256 \(modelSHA256))",
                "\(other.modelPath) (SHA-256 \(other.modelSHA256))"
            )
        }
        if dataSHA256 != other.dataSHA256 {
            return (
                "data", "\(dataPath) (SHA-256 \(dataSHA256))",
                "\(other.dataPath) (SHA-256 \(other.dataSHA256))"
            )
        }
        return nil
    }
}

/// What settings are to those that a run was started with.
public enum SettingsComparison: Sendable, Hashable {
    /// They decide the same result.
    case same
    /// They only end the run elsewhere: what was measured stays true.
    ///
    /// - Parameter reopens: whether stages that are over may come to something else.
    case ending(reopens: Bool)
    /// They decide another result.
    case other(field: String, recorded: String, given: String)

    /// Compares two JSON texts value by value.
    ///
    /// - Parameter options: the options that give settings, by the path of the value, e.g. `recipe.batch`, or what it begins
    ///   with.
    public init(_ recorded: String, _ given: String, options: [String: String] = [:]) {
        self = .same
        guard recorded != given else { return }
        guard let own = JSONTree(recorded)?.leaves, let others = JSONTree(given)?.leaves else {
            self = .other(field: "settings", recorded: recorded, given: given)
            return
        }
        // The same settings may be written differently: only a value that differs counts.
        for name in Set(own.keys).union(others.keys).sorted() where own[name] != others[name] {
            let option = options.first { name == $0.key || name.hasPrefix($0.key + ".") }?.value
            self = .other(
                field: option ?? "setting '\(name)'", recorded: own[name] ?? "nothing",
                given: others[name] ?? "nothing")
            return
        }
    }
}

/// Parsed JSON, to compare two texts value by value.
private indirect enum JSONTree: Decodable {
    /// A string, number, truth value or null, as JSON text.
    case leaf(String)
    case array([JSONTree])
    case object([String: JSONTree])

    init?(_ text: String) {
        guard let tree = try? JSONDecoder().decode(JSONTree.self, from: Data(text.utf8)) else { return nil }
        self = tree
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .leaf("null")
        } else if let value = try? container.decode(Bool.self) {
            self = .leaf("\(value)")
        } else if let value = try? container.decode(Int64.self) {
            self = .leaf("\(value)")
        } else if let value = try? container.decode(UInt64.self) {
            self = .leaf("\(value)")
        } else if let value = try? container.decode(Double.self) {
            self = .leaf("\(value)")
        } else if let value = try? container.decode(String.self) {
            self = .leaf("\"\(value)\"")
        } else if let value = try? container.decode([JSONTree].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONTree].self))
        }
    }

    /// Every value by its path, e.g. `strategy.beam.width`.
    var leaves: [String: String] {
        switch self {
        case .leaf(let text): ["": text]
        case .array(let elements):
            Self.merged(elements.enumerated().map { ("\($0.offset)", $0.element) }, empty: "[]")
        case .object(let members): Self.merged(members.map { ($0.key, $0.value) }, empty: "{}")
        }
    }

    private static func merged(_ children: [(String, JSONTree)], empty: String) -> [String: String] {
        guard !children.isEmpty else { return ["": empty] }
        var result: [String: String] = [:]
        for (name, child) in children {
            for (path, text) in child.leaves { result[path.isEmpty ? name : "\(name).\(path)"] = text }
        }
        return result
    }
}
