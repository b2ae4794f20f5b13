internal import Coordination
internal import Work

/// The run that a worker has loaded, with the shards that it holds. Stays on the computing thread.
struct LoadedRun {
    private let fetcher: ContentFetcher
    private let jobs: JobQueue
    /// Tells the talking thread what has happened.
    private let tell: (WorkerEvent) -> Void
    private var computation: (any Computation)?
    private var run: RunDescription?
    /// The shards that are to be held, and those of them that are on their way.
    private var wanted: Set<ShardContent> = []
    private var coming: Set<ShardContent> = []
    /// Counts the runs that were loaded: what an earlier one had asked for does not matter.
    private var load = 0

    init(fetcher: ContentFetcher, jobs: JobQueue, tell: @escaping (WorkerEvent) -> Void) {
        self.fetcher = fetcher
        self.jobs = jobs
        self.tell = tell
    }

    /// Loads a run in place of what is loaded.
    mutating func replace(by next: RunDescription, loading: () throws -> any Computation) {
        // The old one goes first: two may not fit into memory.
        computation = nil
        fetcher.releaseAll()
        run = next
        load += 1
        (wanted, coming) = ([], [])
        do {
            let loaded = try loading()
            computation = loaded
            tell(.loaded(next, shards: loaded.shards, proof: loaded.proof))
        } catch { tell(.loadFailed(next, reason: "\(error)")) }
    }

    /// Computes a task.
    func compute(_ order: WorkOrder) {
        guard let computation else {
            return tell(.computeFailed(order.id, reason: "nothing is loaded", isPermanent: false))
        }
        let start = ContinuousClock.now
        do {
            let result = try computation.perform(order.key, hints: order.hints, contents: fetcher)
            tell(.computed(order.id, result: result, seconds: start.duration(to: .now).inSeconds))
        } catch {
            tell(.computeFailed(order.id, reason: "\(error)", isPermanent: error is PermanentFailure))
        }
    }

    /// Lets go of other shards than these, and fetches those that are missing.
    mutating func hold(_ shards: [ShardContent]) {
        for old in wanted.subtracting(shards) { fetcher.release(old.content) }
        wanted = Set(shards)
        let numbers = Set(shards.map(\.shard))
        for shard in computation?.shards ?? [] where !numbers.contains(shard) { computation?.drop(shard) }
        let held = Set(computation?.shards ?? [])
        for shard in shards where !held.contains(shard.shard) && coming.insert(shard).inserted {
            fetcher.fetch(shard.content) { [jobs, load] in jobs.add(.adopt(shard, $0, load: load)) }
        }
        tell(.holds(held.sorted()))
    }

    /// Takes in a shard that was fetched, if it is still wanted.
    ///
    /// - Parameter origin: the count of the run that had asked for it.
    mutating func adopt(_ shard: ShardContent, _ file: Result<String, any Error>, askedBy origin: Int) {
        guard origin == load, coming.remove(shard) != nil, wanted.contains(shard), let run else { return }
        do {
            try computation?.hold(shard.shard, contentsOf: file.get())
            tell(.holds(computation?.shards ?? []))
        } catch { tell(.loadFailed(run, reason: "\(error)")) }
    }
}
