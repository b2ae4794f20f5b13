public import Work

/// What a coordinator is told.
public enum CoordinatorEvent: Sendable {
    /// A connection came about. Transports that cannot tell need not say so: the first message does.
    case connected(ConnectionID)
    case received(WorkerMessage, from: ConnectionID)
    /// Something came that is no message.
    case malformed(WireError, from: ConnectionID)
    /// A connection broke, or its worker's process ended.
    case disconnected(ConnectionID)
    /// Some time has passed: to be told a few times per heartbeat.
    case tick
    /// The work of a source is to be done; `recorded` are results of an earlier run.
    case begin(any WorkSource, recorded: [WorkRecord])
    /// The source's work is not wanted any more.
    case abandon
    /// The run is over: workers go home.
    case stop(reason: String)
}

/// How much a log entry matters.
public enum LogLevel: String, Hashable, Sendable {
    case debug, info, warning, error
}

/// What a coordinator wants done, in this order.
///
/// The order is a promise: a result's `journal` stands before its acknowledgement. When keeping it fails, the rest
/// of the list must not be done, so that the worker keeps the result.
public enum CoordinatorAction: Sendable {
    case send(CoordinatorMessage, to: ConnectionID)
    /// Nothing from or to this connection counts any more.
    case close(ConnectionID)
    /// Keep a result. Parts of it may have been kept before, with the same values.
    case journal(WorkRecord)
    /// Note how a machine computes whose results come from now on, and are other bits than the coordinator's.
    case note(Numerics)
    /// The source is complete.
    case finished(any WorkSource)
    /// The source's work cannot be finished.
    case fail(CoordinationError)
    /// A worker asks for a piece of a content: answer it with `chunk` or `missing`.
    case serve(ChunkRequest, to: ConnectionID)
    /// Somebody asks how far the run is.
    case report(to: ConnectionID)
    case log(LogLevel, String)
}

/// What is known of a worker.
public struct WorkerStatus: Hashable, Sendable {
    /// How far a worker has come: before its hello, loading model and data, or taking tasks.
    public enum Phase: String, Hashable, Sendable { case greeting, loading, ready }
    /// Where messages to it go.
    public let connection: ConnectionID
    /// `nil` until it has introduced itself.
    public let hello: Hello?
    /// How far it has come.
    public let phase: Phase
    /// Tasks that it has not answered yet.
    public let outstanding: Int
    /// Tasks whose results it has sent.
    public let computed: Int
    /// The shards that it holds.
    public let shards: Set<Int>
}
