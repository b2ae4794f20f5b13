internal import Coordination
internal import Journal

/// A run whose journal has no room on the disk, or not: what is told about it, and how seldom.
struct RunPause {
    /// The journal's file; `nil` while the run goes on.
    var file: String?
    var nextTry = Instant.zero
    var nextNote = Instant.zero
    var nextAlive = Instant.zero

    static let tryEvery: Duration = .seconds(1)
    static let noteEvery: Duration = .seconds(60)
}

/// While the disk is full the run is paused: results are taken in, and neither kept nor acknowledged; nothing new is
/// handed out; workers hear that the coordinator lives. It goes on by itself as soon as there is room.
extension CoordinatorLoop {
    func beginPause(file: String) {
        guard !clock.isPaused else { return }
        clock.pause()
        pause = RunPause(file: file, nextTry: clock.real + RunPause.tryEvery)
        keepWaiting()
    }

    /// Tries again to keep what waits, and does what was to follow.
    func goOnIfThereIsRoom() {
        if clock.real >= pause.nextTry {
            pause.nextTry = clock.real + RunPause.tryEvery
            guard !release() else { return }
        }
        keepWaiting()
    }

    /// Ends the pause for whoever stops the work: what there is no room for is not acknowledged, and lost here.
    func endPause() {
        guard clock.isPaused, !release() else { return }
        held = DeferredActions()
        goOn()
    }

    /// - Returns: whether everything that waited is done.
    private func release() -> Bool {
        var events: [CoordinatorEvent] = []
        do {
            try held.release { try perform($0, &events) }
        } catch JournalError.diskFull {
            for event in events { handle(event) }
            return false
        } catch {
            held = DeferredActions()
            finish(throwing: error)
            events = [.abandon]
        }
        goOn()
        for event in events { handle(event) }
        return true
    }

    private func goOn() {
        clock.resume()
        pause = RunPause()
        configuration.paused(nil)
    }

    private func keepWaiting() {
        if let file = pause.file, clock.real >= pause.nextNote {
            pause.nextNote = clock.real + RunPause.noteEvery
            configuration.paused(JournalError.pauseNote(file: file))
        }
        if clock.real >= pause.nextAlive {
            pause.nextAlive = clock.real + configuration.settings.run.heartbeat
            for worker in coordinator.workers { _ = send(.alive, to: worker.connection) }
        }
    }
}
