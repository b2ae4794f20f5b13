internal import Coordination
internal import Logging

extension Logger.Level {
    init(_ level: LogLevel) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}

/// Keeps what a peer may do again and again from filling the log: each warning at most every ten seconds.
struct RepeatedWarnings {
    private var last: [String: Instant] = [:]

    /// Whether a warning is to be given now.
    mutating func isDue(_ text: String, at now: Instant) -> Bool {
        if let before = last[text], now - before < .seconds(10) { return false }
        // Peers choose some of the words.
        if last.count > 100 { last = [:] }
        last[text] = now
        return true
    }
}
