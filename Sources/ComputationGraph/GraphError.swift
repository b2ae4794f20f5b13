/// What is wrong with a graph, or with what was asked of it.
public enum GraphError: Error, Sendable, CustomStringConvertible {
    /// An edge that does not exist or may not be removed.
    case unknownEdge(Edge, reason: String)
    /// A unit that does not exist or may not be removed in this way.
    case unknownUnit(Unit, reason: String)
    /// A mask for which no file can be written.
    case notWritable(reason: String)
    /// A candidate pattern that is no regular expression.
    case badPattern(String, reason: String)
    /// The model's last layer cannot be replaced, for a reason.
    case noHead(String)
    /// Training has nothing to change, for a reason.
    case nothingToTrain(String)
    /// A candidate pattern that matches no candidate.
    case nothingMatches(String)
    /// A mask that leaves an output without any path from a model input.
    case disconnected(Mask)
    /// A model that has no graph to prune.
    case unusable(String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .unknownEdge(let edge, let reason): "edge \(edge) cannot be removed: \(reason)"
        case .unknownUnit(let unit, let reason): "\(unit) cannot be removed: \(reason)"
        case .notWritable(let reason): "no file can be written: \(reason)"
        case .noHead(let reason): "the model's last layer cannot be replaced: \(reason)"
        case .nothingToTrain(let reason): "the model cannot be trained: \(reason)"
        case .badPattern(let pattern, let reason): "'\(pattern)' is no regular expression: \(reason)"
        case .nothingMatches(let pattern):
            "no candidate edge matches '\(pattern)', and it is none of blocks, branches and all"
        case .disconnected(let mask): "removing \(mask) would leave an output that depends on no model input"
        case .unusable(let reason): "the model cannot be used: \(reason)"
        }
    }
}
