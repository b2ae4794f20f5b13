public import Datasets

/// What a worker has to know of a run to compute for it.
public struct RunDescription: Hashable, Sendable {
    /// Drawn when the coordinator starts; task numbers mean nothing beyond it.
    public let session: UInt64
    /// The model file's path.
    public let modelPath: String
    /// SHA-256 of the model file, 32 bytes.
    public let modelSHA256: [UInt8]
    /// The data file's path.
    public let dataPath: String
    /// SHA-256 of the data file, 32 bytes.
    public let dataSHA256: [UInt8]
    /// How many of the file's samples are taken, from the first on; `nil` for all.
    public let sampleLimit: Int?
    /// What the computation is told besides, e.g. the loss.
    public let setup: String
    /// How samples fall into shards and blocks.
    public let sharding: Sharding
    /// Bytes of memory that a worker may use; `nil` for no limit.
    public let memoryBudget: Int?
    /// How often each side shows that it is alive.
    public let heartbeat: Duration
    /// The model's files, for workers that do not see its path; none when every worker does.
    public let modelParts: [ModelPart]
    /// What a worker has to compute before it gets tasks; `nil` where all are known to compute the same bits.
    public let reference: Reference?
    /// Bytes of the data set's arrays.
    public let dataBytes: Int
    /// Bytes of data that a worker may hold; `nil` for no limit.
    public let dataBudget: Int?

    /// Describes a run.
    public init(
        session: UInt64, modelPath: String, modelSHA256: [UInt8], dataPath: String, dataSHA256: [UInt8],
        sampleLimit: Int?, setup: String, sharding: Sharding, memoryBudget: Int? = nil,
        heartbeat: Duration = .seconds(1), modelParts: [ModelPart] = [], reference: Reference? = nil,
        dataBytes: Int = 0, dataBudget: Int? = nil
    ) {
        self.session = session
        self.modelPath = modelPath
        self.modelSHA256 = modelSHA256
        self.dataPath = dataPath
        self.dataSHA256 = dataSHA256
        self.sampleLimit = sampleLimit
        self.setup = setup
        self.sharding = sharding
        self.memoryBudget = memoryBudget
        self.heartbeat = heartbeat
        self.modelParts = modelParts
        self.reference = reference
        self.dataBytes = dataBytes
        self.dataBudget = dataBudget
    }

    /// Whether a worker that has loaded `other` has loaded this run too.
    public func needsTheSameFiles(as other: RunDescription) -> Bool {
        modelSHA256 == other.modelSHA256 && dataSHA256 == other.dataSHA256 && modelPath == other.modelPath
            && dataPath == other.dataPath && sampleLimit == other.sampleLimit && setup == other.setup
            && sharding == other.sharding && memoryBudget == other.memoryBudget
            && modelParts == other.modelParts && reference == other.reference
            && dataBudget == other.dataBudget
    }

    /// After so long without a word the other side is taken for dead.
    var silenceLimit: Duration { heartbeat * 3 }

    /// Task numbers have their coordinator's session in their upper half, so that a late message about another one's
    /// task is none about ours.
    var firstTaskNumber: UInt64 { session & ~0xFFFF_FFFF }

    /// Whether this run's coordinator numbered the task.
    func numbers(_ task: TaskID) -> Bool { task.number & ~0xFFFF_FFFF == firstTaskNumber }

    /// After so long a computation that has this lease is taken for one that never ends.
    func patience(with lease: Duration) -> Duration {
        min(lease, .seconds(1 << 30)) * RunDescription.patienceFactor + silenceLimit
    }

    /// A lease is several times the expected cost already.
    private static let patienceFactor = 5
}
