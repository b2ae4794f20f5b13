internal import Coordination
internal import Search

/// Does what other threads ask for through the mailbox, and shows them how far the level is.
extension CoordinatorLoop {
    func perform(_ command: CoordinatorService.Command) {
        switch command {
        case .begin(let level, let division, let usesBounds, let continuation):
            begin(level, division, usesBounds: usesBounds, continuation)
        case .interrupt:
            endPause()
            finish(throwing: ClusterError.interrupted)
            handle(.abandon)
        case .processEnded(let process):
            for worker in coordinator.workers where worker.hello?.process == process {
                if worker.hello?.host == Machine.hostName { handle(.disconnected(worker.connection)) }
            }
        case .fail(let error):
            endPause()
            finish(throwing: error)
            handle(.abandon)
        case .stop(let reason):
            endPause()
            handle(.stop(reason: reason))
            if continuation != nil { finish(throwing: ClusterError.shutDown) }
            isStopping = true
        }
    }

    private func begin(
        _ level: Level, _ division: SampleDivision, usesBounds: Bool,
        _ continuation: CheckedContinuation<LevelOutcome, any Error>
    ) {
        guard self.continuation == nil else { return continuation.resume(throwing: ClusterError.busy) }
        if let pendingError {
            self.pendingError = nil
            return continuation.resume(throwing: pendingError)
        }
        do {
            let recorded = try configuration.journal?.results(of: level) ?? []
            self.continuation = continuation
            handle(.begin(level, division: division, usesBounds: usesBounds, recorded: recorded))
            advanced = true
        } catch { continuation.resume(throwing: error) }
    }

    /// Shows how far the level is, after every batch of results.
    func report() {
        guard advanced, let race = coordinator.race else { return }
        advanced = false
        do { try configuration.progress(race) } catch {
            endPause()
            finish(throwing: error)
            handle(.abandon)
        }
    }
}
