internal import Coordination

/// The time that the coordinator's state machine sees: it stands still while the run is paused, so that no lease runs
/// out and nobody is taken for dead meanwhile.
struct PausableClock {
    private let stopwatch = Stopwatch()
    private var paused: Duration = .zero
    private var pausedAt: Instant?

    /// The time without pauses.
    var now: Instant { pausedAt ?? Instant.zero + (real - .zero - paused) }
    /// The time that goes on.
    var real: Instant { stopwatch.now }
    var isPaused: Bool { pausedAt != nil }

    mutating func pause() { pausedAt = now }

    mutating func resume() {
        guard let pausedAt else { return }
        paused = real - pausedAt
        self.pausedAt = nil
    }
}
