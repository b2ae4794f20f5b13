internal import Coordination

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
