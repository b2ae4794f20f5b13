internal import Files
internal import Foundation
internal import Journal
internal import ONNX
internal import Report

/// Waits for room on the disk, in the thread that wants to write; an interruption ends the wait.
struct DiskFullRetry: Sendable {
    let interruption: Interruption
    /// Told with a sentence, again from time to time, while there is no room, and with nothing once there is.
    let paused: @Sendable (String?) -> Void

    /// Waits, and says so on a run's board and in a line each.
    init(
        interruption: Interruption, board: StatusBoard?, noted: @escaping @Sendable (String) -> Void
    ) {
        self.interruption = interruption
        paused = { reason in
            board?.paused(reason)
            noted(reason ?? "there is room on the disk again: the run goes on")
        }
    }

    private static let tryEvery = 1.0
    private static let noteEvery = 60.0

    /// Does `body` as often as the disk is full.
    ///
    /// - Throws: what else `body` throws; `Interrupted`.
    func retrying<Value>(_ body: () throws -> Value) throws -> Value {
        var waited = 0.0
        while true {
            do {
                let value = try body()
                if waited > 0 { paused(nil) }
                return value
            } catch {
                guard let file = DiskFullRetry.fullFile(error) else { throw error }
                if waited.truncatingRemainder(dividingBy: DiskFullRetry.noteEvery) == 0 {
                    paused(JournalError.pauseNote(file: file))
                }
                for _ in 0..<10 {
                    try interruption.check()
                    Thread.sleep(forTimeInterval: DiskFullRetry.tryEvery / 10)
                }
                waited += DiskFullRetry.tryEvery
            }
        }
    }

    /// The file that there was no room for; `nil` for an error of another kind.
    private static func fullFile(_ error: any Error) -> String? {
        switch error {
        case JournalError.diskFull(let file): file
        case ReportError.diskFull(let path): path
        case let error as FileError where error.isDiskFull: error.path
        case let error as ModelError where error.kind == .diskFull: error.file ?? "the model"
        default: nil
        }
    }
}
