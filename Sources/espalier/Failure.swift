internal import ArgumentParser
internal import Cluster
internal import ComputationGraph
internal import Coordination
internal import Datasets
internal import Engine
internal import Journal
internal import ONNX
internal import Pruning
internal import Report
internal import Search
internal import Training

/// The documented exit codes.
enum ExitStatus {
    static let badInput = ExitCode(65)
    static let noWorkers = ExitCode(69)
    static let `internal` = ExitCode(70)
    static let interrupted = ExitCode(130)

    /// The code for an error.
    static func code(for error: any Error) -> ExitCode {
        switch error {
        case JournalError.differentOutcome: `internal`
        case is InputError, is ModelError, is GraphError, is DatasetError, is EngineError, is SearchError,
            is JournalError,
            is ReportError, is ContentHashError, is NonFiniteError, is TrainingDivergence:
            badInput
        case ClusterError.key, ClusterError.cannotListen, ClusterError.keysMissing: badInput
        case is Interrupted: interrupted
        case CoordinationError.noWorkers, CoordinationError.noWorkerForShards, ClusterError.workersDie,
            ClusterError.cannotStart, ClusterError.noStatus:
            noWorkers
        case CoordinationError.cannotLoad, CoordinationError.taskFailed: badInput
        default: `internal`
        }
    }
}

/// What goes on beyond that is no sentence.
private let longestSentence = 2000

/// Runs a command's work: an error becomes one sentence on standard error and the documented exit code.
func reporting<Result>(_ body: () async throws -> Result) async throws -> Result {
    do { return try await body() } catch let error as ExitCode { throw error } catch let error
        as ValidationError
    {
        throw error
    } catch { throw report(error) }
}

/// Tells of an error in one line, whatever a file's contents or a library's message put into it.
///
/// - Returns: the documented exit code.
func report(_ error: any Error) -> ExitCode {
    let sentence = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
    let isLong = sentence.count > longestSentence
    StandardError.write("espalier: \(sentence.prefix(longestSentence))\(isLong ? "…" : "")\n")
    return ExitStatus.code(for: error)
}
