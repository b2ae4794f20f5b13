internal import Work

/// How a coordinator treats its workers.
public struct CoordinatorSettings: Sendable {
    /// What every worker is told.
    public let run: RunDescription
    /// The version of the program, which workers must have too: other versions may compute other bits.
    public let softwareVersion: String
    /// The bytes of the largest result of any work of the run, so that nothing larger is taken from workers; `nil` where that
    /// is not known.
    public var resultBytes: Int?
    /// Tasks that a worker has at once: one that it computes, and others so that it need not wait for the next.
    public var credit = 2
    /// With bounds, a task that is chosen before the last result is known is often chosen wrongly. So workers get tasks
    /// ahead only where tasks are shorter than this, and waiting for the next would weigh more; `nil` for always.
    public var prefetchLimit: Duration?
    /// How long work may lie about with no worker to take it.
    public var noWorkersLimit: Duration = .seconds(60)
    /// How many workers a piece of work may kill, or fail on, before the run stops; and how many may fail to load the run
    /// where there are no others.
    public var failureLimit = 3
    /// A lease lasts this many times the expected cost of its task, and of those queued before it, …
    public var leaseFactor = 4.0
    /// … and this much longer.
    public var leaseFloor: Duration = .seconds(5)
    /// How long a lease lasts while no cost has been measured.
    public var firstLease: Duration = .seconds(600)
    /// The user is told when no worker has answered for so long, and for twice as long as a task's lease lasts.
    public var quietLimit: Duration = .seconds(60)
    /// At the end of a source an idle worker gets a copy of a task that has taken this many times its expected cost.
    public var speculationFactor = 1.5
    /// How long a worker on which a task failed gets nothing, so that others may try.
    public var restAfterFailure: Duration = .seconds(3)

    /// The shards as contents, by number, for workers that do not see the data: the coordinator then says which of them
    /// each worker holds. Empty where workers load the data themselves.
    public var shards: [ShardContent] = []
    /// What the coordinator computed on the run's reference block, and every worker has to; empty where nothing is
    /// compared.
    public var proof: [UInt8] = []
    /// The processor and engine that computed it, in free text.
    public var machine = ""
    /// Whether workers take part that compute other bits than the coordinator.
    public var allowsMixedNumerics = false
    /// How long a worker must have been idle before it takes over a shard that another one holds too.
    public var patience: Duration = .seconds(2)
    /// A worker that has not loaded model and data after so long is no longer waited for.
    public var loadingLimit: Duration = .seconds(3600)

    /// The usual treatment.
    public init(run: RunDescription, softwareVersion: String) {
        self.run = run
        self.softwareVersion = softwareVersion
    }
}

/// What tasks cost, learnt from those that were computed, scale by scale.
struct CostEstimate: Sendable {
    /// Seconds for one of each scale.
    private var seconds: [String: Double] = [:]

    mutating func fold(seconds measured: Double, of cost: WorkCost) {
        let one = measured / cost.amount
        // Recent tasks count most: what is computed later in a run is mostly cheaper.
        seconds[cost.scale] = seconds[cost.scale].map { 0.8 * $0 + 0.2 * one } ?? one
    }

    /// The expected time of a task; `nil` while nothing of its scale has been measured.
    func expected(_ cost: WorkCost) -> Duration? {
        seconds[cost.scale].map { .clamped(seconds: $0 * cost.amount) }
    }
}
