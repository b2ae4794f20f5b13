/// Why a model could not be read, understood or written, and where in it.
///
/// ``description`` is one sentence for the user:
/// `model.onnx, node 3 (Conv "conv1"), input 1: reads "w", which nothing defines.`
public struct ModelError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What sort of failure this is.
    public enum Kind: Sendable {
        /// The file, or a file of external data, cannot be read.
        case unreadable
        /// The bytes are no ONNX model, or a tensor's bytes disagree with its shape.
        case malformed
        /// The model breaks a rule of the ONNX standard.
        case invalid
        /// The model is valid but uses something that Espalier does not know.
        case unsupported
        /// The file cannot be written.
        case unwritable
        /// The file cannot be written because the disk, or the user's part of it, is full.
        case diskFull
    }

    /// A node as an error names it.
    public struct Node: Equatable, Sendable {
        /// Position in its graph's list of nodes, where known.
        public var index: Int?
        /// The node's name; may be empty.
        public var name: String
        /// The operator or function, with its domain where that is not ai.onnx.
        public var operation: String

        /// Names a node by its position, name and operation.
        public init(index: Int?, name: String, operation: String) {
            self.index = index
            self.name = name
            self.operation = operation
        }

        /// Names `node`, at `index` in its graph.
        public init(_ node: NodeProto, index: Int? = nil) {
            self.init(index: index, name: node.name, operation: node.qualifiedOperation)
        }
    }

    /// What sort of failure this is.
    public var kind: Kind
    /// The file's path, where known.
    public var file: String?
    /// The function or subgraph that `node` is in; nil for the main graph.
    public var scope: String?
    /// The node at fault, if one is.
    public var node: Node?
    /// The part at fault, e.g. `attribute "axis"`.
    public var field: String?
    /// What is wrong: the end of the sentence, without a full stop.
    public var problem: String

    /// An error in the place that the arguments name.
    public init(
        _ kind: Kind, file: String? = nil, scope: String? = nil, node: Node? = nil, field: String? = nil,
        _ problem: String
    ) {
        self.kind = kind
        self.file = file
        self.scope = scope
        self.node = node
        self.field = field
        self.problem = problem
    }

    /// One sentence: the place, a colon, what is wrong.
    public var description: String {
        let place = [file, scope, node?.description, field].compactMap { $0 }.joined(separator: ", ")
        return place.isEmpty ? "The model \(problem)." : "\(place): \(problem)."
    }

    /// This error with the parts of its place filled in that it does not know itself.
    public func locating(
        file: String? = nil, scope: String? = nil, node: Node? = nil, field: String? = nil
    ) -> ModelError {
        var error = self
        error.file = error.file ?? file
        error.scope = error.scope ?? scope
        if let index = node?.index, error.node?.index == nil { error.node?.index = index }
        error.node = error.node ?? node
        error.field = error.field ?? field
        return error
    }
}

extension ModelError.Node: CustomStringConvertible {
    /// `node 3 (Conv "conv1")`, without what is unknown.
    public var description: String {
        let title = [operation, name.isEmpty ? "" : quoted(name)].filter { !$0.isEmpty }.joined(
            separator: " ")
        guard let index else { return "node \(title)" }
        return title.isEmpty ? "node \(index)" : "node \(index) (\(title))"
    }
}

/// A name out of a file as an error shows it: in quotes, escaped, and cut where it is absurdly long.
func quoted(_ name: String) -> String {
    let shown = name.unicodeScalars.prefix(120).reduce(into: "") { $0 += $1.escaped(asASCII: false) }
    return name.unicodeScalars.dropFirst(120).isEmpty ? "\"\(shown)\"" : "\"\(shown)…\""
}

/// Runs `body` and adds to any error the place that the caller knows.
func locating<Result>(
    file: String? = nil, scope: String? = nil, node: ModelError.Node? = nil, field: String? = nil,
    _ body: () throws(ModelError) -> Result
) throws(ModelError) -> Result {
    do {
        return try body()
    } catch {
        throw error.locating(file: file, scope: scope, node: node, field: field)
    }
}
