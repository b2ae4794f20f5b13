/// How far a run is: what `status` and `/metrics` show.
public struct RunStatus: Codable, Hashable, Sendable {
    /// A worker as the coordinator sees it.
    public struct Worker: Codable, Hashable, Sendable {
        /// The machine's name.
        public var host: String
        /// The process number there.
        public var process: Int32
        /// Processor and engine, in free text.
        public var machine: String
        /// `greeting`, `loading` or `ready`.
        public var phase: String
        /// Tasks that it has not answered yet.
        public var tasksInFlight: Int
        /// Tasks whose scores it has sent.
        public var tasksDone: Int
        /// The shards that it holds.
        public var shards: [Int]

        /// A worker of this state.
        public init(
            host: String, process: Int32, machine: String, phase: String, tasksInFlight: Int, tasksDone: Int,
            shards: [Int]
        ) {
            self.host = host
            self.process = process
            self.machine = machine
            self.phase = phase
            self.tasksInFlight = tasksInFlight
            self.tasksDone = tasksDone
            self.shards = shards
        }
    }

    /// The level that is raced.
    public struct Level: Codable, Hashable, Sendable {
        /// The number of removals.
        public var number: Int
        /// Its expansions.
        public var expansions: Int
        /// Those that are finished or dropped.
        public var decided: Int
        /// Block evaluations done.
        public var blockEvaluations: Int
        /// The most that it can take.
        public var mostBlockEvaluations: Int
        /// Those that are likely left, by what has been dropped so far; `nil` in the status of an older program.
        public var likelyBlockEvaluationsLeft: Int?
        /// The best objective value so far.
        public var best: Double?

        /// A level of this state.
        public init(
            number: Int, expansions: Int, decided: Int, blockEvaluations: Int, mostBlockEvaluations: Int,
            likelyBlockEvaluationsLeft: Int? = nil, best: Double?
        ) {
            self.number = number
            self.expansions = expansions
            self.decided = decided
            self.blockEvaluations = blockEvaluations
            self.mostBlockEvaluations = mostBlockEvaluations
            self.likelyBlockEvaluationsLeft = likelyBlockEvaluationsLeft
            self.best = best
        }
    }

    /// A finished step of the path.
    public struct Step: Codable, Hashable, Sendable {
        /// The number of removals.
        public var step: Int
        /// The removed edge, `NODE:SLOT`.
        public var edge: String
        /// The exact loss.
        public var loss: Double

        /// A step.
        public init(step: Int, edge: String, loss: Double) {
            self.step = step
            self.edge = edge
            self.loss = loss
        }
    }

    /// The program's version.
    public var version: String
    /// The model as it was named.
    public var model: String
    /// The data as they were named.
    public var data: String
    /// Why the run is paused, a sentence; `nil` while it goes on.
    public var paused: String?
    /// Seconds since the search began.
    public var seconds = 0.0
    /// The unpruned model's loss, once it is known.
    public var baseLoss: Double?
    /// The best state of every finished level.
    public var path: [Step] = []
    /// The level in work.
    public var level: Level?
    /// Block evaluations of finished levels.
    public var finishedBlockEvaluations = 0
    /// Block evaluations per second of late; `nil` before anything was measured.
    public var rate: Double?
    /// At most so many seconds until the level is over, if bounds save nothing more.
    public var levelSecondsLeft: Double?
    /// So many seconds likely, by what has been dropped so far.
    public var levelLikelySecondsLeft: Double?
    /// The workers, those that came first.
    public var workers: [Worker] = []
    /// How many workers there are.
    public var workerCount = 0

    /// A run that begins.
    public init(version: String, model: String, data: String) {
        self.version = version
        self.model = model
        self.data = data
    }

    /// All block evaluations so far.
    public var blockEvaluations: Int { finishedBlockEvaluations + (level?.blockEvaluations ?? 0) }
}
