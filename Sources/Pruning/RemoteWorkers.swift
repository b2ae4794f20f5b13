public import Cluster
internal import ComputationGraph
internal import Coordination
internal import Datasets
internal import Engine
internal import FoundationEssentials
internal import ONNX
internal import Computations
internal import Search
internal import Training
internal import Work

/// Workers on other machines: where they come to, and who may.
public struct RemoteWorkers: Sendable {
    /// Where to listen: `tcp://HOST:PORT`; port 0 or `*` lets the system choose one.
    public var endpoint: String
    /// Encrypts connections and lets in only known workers; `nil` for anybody.
    public var keys: CoordinatorKeys?
    /// How long work may lie about without any worker; `nil` waits for ever.
    public var timeout: Duration?
    /// Whether workers take part that compute other bits than this process.
    public var allowsMixedNumerics: Bool

    /// Listens for workers.
    public init(
        endpoint: String, keys: CoordinatorKeys?, timeout: Duration? = nil, allowsMixedNumerics: Bool = false
    ) {
        self.endpoint = endpoint
        self.keys = keys
        self.timeout = timeout
        self.allowsMixedNumerics = allowsMixedNumerics
    }
}

extension Workload {
    /// What workers on this machine have to know of this workload: where the files are.
    func runDescription() throws -> RunDescription {
        try RunDescription(
            session: .random(in: .min ... .max), modelPath: AbsolutePath.of(graph.model.path),
            modelSHA256: ContentHash.digest(ofModel: graph.model.path), dataPath: AbsolutePath.of(dataPath),
            dataSHA256: ContentHash.digest(ofFile: dataPath), sampleLimit: options.samples,
            setup: loss.text(for: graph), sharding: division.sharding, memoryBudget: options.memoryBudget)
    }

    /// How workers are treated that take part in a run.
    func coordinatorSettings(_ run: RunDescription) -> CoordinatorSettings {
        var settings = CoordinatorSettings(run: run, softwareVersion: Espalier.version)
        let losses = LevelRace.largestResult(samples: min(run.sharding.blockSize, run.sharding.samples))
        let weights = max(largestGradient, largestWeights)
        settings.resultBytes = largestStatistics.map { max($0, losses, weights) }
        if settings.resultBytes == nil, weights > 0 {
            settings.resultBytes = max(WireLimits().resultBytes, weights)
        }
        return settings
    }

    /// How workers on other machines are treated, and what they are given: the model's files, the shards, and a block on
    /// which they show that they compute the same bits as this process.
    ///
    /// - Parameter proof: what this process computes on that block, where that is known already.
    func remoteSettings(_ remote: RemoteWorkers, proof: [UInt8]?) throws
        -> (CoordinatorSettings, ContentLibrary)
    {
        let library = ContentLibrary()
        let parts = try library.add(modelAt: graph.model.path)
        let shards = try (0..<division.sharding.shards).map { shard in
            ShardContent(
                shard: shard,
                content: library.add(try dataset.archive(of: division.sharding.shardRange(shard))))
        }
        let (key, content) = try referenceWork()
        if let content { _ = library.add(content) }
        let reference = Reference(content: library.add(try dataset.archive(of: referenceBlock)), key: key)
        let plain = try runDescription()
        let run = RunDescription(
            session: plain.session, modelPath: plain.modelPath, modelSHA256: plain.modelSHA256,
            dataPath: plain.dataPath, dataSHA256: plain.dataSHA256, sampleLimit: plain.sampleLimit,
            setup: plain.setup, sharding: plain.sharding, memoryBudget: plain.memoryBudget, modelParts: parts,
            reference: reference, dataBytes: dataset.byteCount, dataBudget: dataBudget)
        var settings = coordinatorSettings(run)
        settings.shards = shards
        settings.proof = try proof ?? numericsProof()
        settings.machine = Workload.machine
        settings.allowsMixedNumerics = remote.allowsMixedNumerics
        settings.noWorkersLimit = remote.timeout ?? .seconds(1_000_000_000)
        return (settings, library)
    }

    /// This machine, as others are told of it.
    static var machine: String { "\(Machine.processorName), \(EngineDescription.text)" }

    private var referenceBlock: Range<Int> { division.sharding.naturalBlocks(of: 0)[0] }

    /// The digest of what this process computes on the reference block: another machine that computes other bits has
    /// another one.
    func numericsProof() throws -> [UInt8] {
        let (evaluator, first) = (try evaluator(), referenceBlock.lowerBound)
        let (key, content) = try referenceWork()
        var contents = MemoryContents()
        if let content { contents.add(content, as: ContentHash.content(of: content)) }
        let result = try EngineWork.perform(key, hints: [], contents: contents) { _, samples in
            (evaluator, samples.map { $0 + first })
        }
        return NumericsProof.digest(of: result)
    }

    /// What machines compute on the reference block to show that they compute the same bits, and what it names besides: the
    /// losses without a few edges; where weights are trained, the gradient without one of them.
    private func referenceWork() throws -> (key: WorkKey, content: [UInt8]?) {
        let edges = try referenceEdges()
        guard trains, let edge = edges.first else {
            return (NumericsProof.key(edges: edges, samples: referenceBlock.count), nil)
        }
        let mask = Mask([edge])
        let values = try graph.trainableParameters(under: mask).map(\.value)
        let weights = try network.elements(of: values)
        let content = TrainedWeights.content(of: weights)
        let subject = TrainingSubject(
            mask: mask, values: values, elements: weights.count, objective: TrainingObjective())
        return (
            NumericsProof.key(
                subject, weights: ContentHash.content(of: content), samples: referenceBlock.count), content
        )
    }

    /// Whether weights are trained, in a recovery or as a whole.
    private var trains: Bool { largestGradient > 0 || options.recovery.recovery.training != nil }

    /// The most bytes that the weights of a state take which a training within its recovery made; 0 without one.
    private var largestWeights: Int {
        guard options.recovery.recovery.training != nil else { return 0 }
        let parameters = graph.parameters
        let layers = LinearMaps(of: graph).maps
        let biases = layers.filter { $0.bias == nil }.reduce(0) { sum, map in
            sum + (graph.values[map.weight].constant?.shape.max() ?? 0)
        }
        let elements = parameters.reduce(biases) { $0 + (graph.values[$1].constant?.count ?? 0) }
        return RecoveredWeights.mostBytes(
            elements: elements, tensors: parameters.count + layers.count,
            maskText: WireLimits().payloadBytes)
    }

    /// Edges from the beginning, the middle and the end of the model.
    private func referenceEdges() throws -> [Edge] {
        var edges = try Candidates(of: graph, selection: .branches).representatives
        if edges.isEmpty { edges = try Candidates(of: graph, selection: .all).representatives }
        guard let first = edges.first, let last = edges.last else { return [] }
        return Array(Set([first, edges[edges.count / 2], last])).sorted()
    }

    /// Bytes of data that a worker may hold beside what it computes with.
    private var dataBudget: Int { max(1, memory.budget - memory.working) }
}
