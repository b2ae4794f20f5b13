/// Names a connection to a worker, as the transport does. A worker that connects again has another one.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    /// The transport's name for the connection, e.g. a ZeroMQ routing id.
    public let bytes: [UInt8]

    /// The connection that the transport names so.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Hexadecimal digits.
    public var description: String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

/// Names a worker process for as long as it runs: 128 bits that it drew when it started.
public struct WorkerID: Hashable, Sendable, CustomStringConvertible {
    /// The upper 64 bits.
    public let high: UInt64
    /// The lower 64 bits.
    public let low: UInt64

    /// The identity of these bits.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A new identity.
    public init(using generator: inout some RandomNumberGenerator) {
        high = generator.next()
        low = generator.next()
    }

    /// A new identity from the system's random numbers.
    public static func random() -> WorkerID {
        var generator = SystemRandomNumberGenerator()
        return WorkerID(using: &generator)
    }

    /// The first hexadecimal digits: enough to tell workers apart in a log.
    public var description: String {
        let digits = String(high, radix: 16)
        return String((String(repeating: "0", count: 16 - digits.count) + digits).prefix(8))
    }
}

/// Numbers the tasks of one coordinator process, over all levels.
public struct TaskID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number.
    public let number: UInt64

    /// Task number `number`.
    public init(_ number: UInt64) { self.number = number }

    /// In the order of handing out.
    public static func < (left: TaskID, right: TaskID) -> Bool { left.number < right.number }

    /// As logs name it.
    public var description: String { "task \(number)" }
}

/// One handing-out of a task: the answer to it names both.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
    /// The task.
    public let task: TaskID
    /// Counts how often the task was handed out, from 1.
    public let attempt: UInt32

    /// Attempt number `attempt` at `task`.
    public init(_ task: TaskID, _ attempt: UInt32) {
        self.task = task
        self.attempt = attempt
    }

    /// As logs name it.
    public var description: String { "\(task), attempt \(attempt)" }
}
