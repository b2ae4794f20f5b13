internal import ComputationGraph
internal import Torch

/// What stopped the engine, with the node it stopped at.
public enum EngineError: Error, Sendable, CustomStringConvertible {
    /// An operator that the engine does not have.
    case unsupported(index: Int, name: String, operation: String)
    /// A node that could not be prepared or computed.
    case node(index: Int, name: String, operation: String, reason: String)
    /// A node for whose values there was no memory: on another machine, or at another time, there may be.
    case outOfMemory(index: Int, name: String, operation: String, reason: String)
    /// A model with operators that the engine does not have, all of them.
    case cannotRun(String, [UnsupportedOperator])
    /// Data that does not fit the model.
    case data(String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .unsupported(let index, let name, let operation):
            "node \(index) (\(name)): the operator \(operation) is not supported"
        case .node(let index, let name, let operation, let reason),
            .outOfMemory(let index, let name, let operation, let reason):
            "node \(index) (\(name), \(operation)): \(reason)"
        case .cannotRun(let model, let operators): "\(model) cannot be run: \(operators.sentence)"
        case .data(let reason): reason
        }
    }

    /// Whether the cause is an operator that the engine does not have.
    public var isUnsupported: Bool {
        switch self {
        case .unsupported, .cannotRun: true
        case .node, .outOfMemory, .data: false
        }
    }

    /// Whether the cause is a lack of memory, which says nothing of the model.
    public var isOutOfMemory: Bool { if case .outOfMemory = self { true } else { false } }

    /// What a vertex was stopped by, with its name.
    static func stopped(_ vertex: Vertex, by cause: any Error) -> EngineError {
        switch cause {
        case let known as EngineError: known
        case TorchError.outOfMemory:
            .outOfMemory(
                index: vertex.index, name: vertex.name, operation: vertex.operation, reason: "\(cause)")
        default:
            .node(index: vertex.index, name: vertex.name, operation: vertex.operation, reason: "\(cause)")
        }
    }
}
