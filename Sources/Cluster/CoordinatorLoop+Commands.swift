internal import Coordination
internal import Work

/// Does what other threads ask for through the mailbox, and shows them how far the work is.
extension CoordinatorLoop {
    func perform(_ command: CoordinatorService.Command) {
        switch command {
        case .begin(let source, let continuation): begin(source, continuation)
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
        _ source: any WorkSource, _ continuation: CheckedContinuation<any WorkSource, any Error>
    ) {
        guard self.continuation == nil else { return continuation.resume(throwing: ClusterError.busy) }
        if let pendingError {
            self.pendingError = nil
            return continuation.resume(throwing: pendingError)
        }
        do {
            let recorded = try configuration.journal?.records(ofStage: source.stage) ?? []
            self.continuation = continuation
            handle(.begin(source, recorded: recorded))
            advanced = true
        } catch { continuation.resume(throwing: error) }
    }

    /// Shows how far the work is, after every batch of results.
    func report() {
        guard advanced, let source = coordinator.source else { return }
        advanced = false
        do { try configuration.progress(source) } catch {
            endPause()
            finish(throwing: error)
            handle(.abandon)
        }
    }
}
