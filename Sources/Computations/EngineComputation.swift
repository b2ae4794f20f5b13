public import Cluster
internal import ComputationGraph
public import Coordination
internal import Datasets
internal import Engine
internal import FoundationEssentials
internal import ONNX
public import Work

/// A run on the tensor engine.
///
/// A worker that sees the very files that the coordinator has, by their hashes, loads those, and all the data if its
/// memory allows. Any other gets the model from the coordinator, and of the data those shards that it is told to hold.
public struct EngineComputation: Computation {
    private let run: RunDescription
    private let loss: LossDescription
    private let network: Network
    private let inputs: [InputSpecification]
    /// The whole data set, where the worker sees it.
    private let whole: Evaluator?
    private var held: [Int: Evaluator] = [:]
    /// The bytes that this process may take.
    private let budget: Int
    /// What was computed on the run's reference block.
    public let proof: [UInt8]

    /// Loads a run.
    ///
    /// - Parameters:
    ///   - contents: where files come from that the worker does not see.
    ///   - usesPaths: whether it looks for the coordinator's paths at all.
    ///   - memory: the bytes that this worker may use, where they are fewer than the run's budget.
    /// - Throws: `ClusterError`, and what reading model and data throws.
    public init(
        _ run: RunDescription, contents: ContentFetcher? = nil, usesPaths: Bool = true, memory: Int? = nil
    ) throws {
        let contents = run.modelParts.isEmpty ? nil : contents
        let graph = try EngineComputation.graph(run, contents, usesPaths: usesPaths)
        self.run = run
        let loss = try LossDescription(text: run.setup, graph: graph)
        self.loss = loss
        inputs = try graph.inputs.map { port in
            // As the coordinator reads it: the dimension of samples has any length, whatever the export fixed it to.
            let axis = loss.inputAxes[port.name] ?? 0
            return try InputSpecification(
                name: port.name, elementTypeName: port.elementType.name,
                shape: port.hasShape ? port.shape.enumerated().map { $0 == axis ? nil : $1 } : nil,
                sampleAxis: axis < 0 ? nil : axis)
        }
        network = try Network(graph)
        let budget = min(run.memoryBudget ?? .max, memory ?? .max, MemoryPlan.defaultBudget(processes: 1))
        self.budget = budget
        whole = try EngineComputation.wholeData(run, inputs, contents, usesPaths: usesPaths).map {
            [network] in
            let plan = try MemoryPlan(
                budget: budget, network: network, dataset: $0,
                samples: Array(run.sharding.naturalBlocks(of: 0)[0]))
            return try Evaluator(network, dataset: $0, loss: loss, keptBytes: plan.kept)
        }
        if let reference = run.reference, let contents {
            let dataset = try Dataset(contentsOf: contents.path(of: reference.content), inputs: inputs)
            let evaluator = try Evaluator(network, dataset: dataset, loss: loss)
            proof = NumericsProof.digest(
                of: try EngineWork.perform(reference.key, hints: [], contents: contents) { _, samples in
                    (evaluator, samples)
                })
        } else {
            proof = []
        }
    }

    /// The shards that are held.
    public var shards: [Int] { whole == nil ? held.keys.sorted() : Array(0..<run.sharding.shards) }

    /// Loads a shard from its file.
    ///
    /// - Throws: `DatasetError`; `ClusterError.sampleCount` for another number of samples than the shard has.
    public mutating func hold(_ shard: Int, contentsOf path: String) throws {
        guard whole == nil, held[shard] == nil, (0..<run.sharding.shards).contains(shard) else { return }
        let dataset = try Dataset(contentsOf: path, inputs: inputs)
        let expected = run.sharding.shardRange(shard).count
        guard dataset.samples == expected else {
            throw ClusterError.sampleCount(path: path, expected: expected, found: dataset.samples)
        }
        // Every shard that the worker may come to hold has its part.
        let block = run.sharding.naturalBlocks(of: shard)[0].count
        let plan = try MemoryPlan(
            budget: budget, network: network, dataset: dataset,
            samples: Array(0..<min(block, dataset.samples)))
        held[shard] = try Evaluator(
            network, dataset: dataset, loss: loss, keptBytes: plan.kept / max(1, run.sharding.shards))
    }

    /// Lets go of a shard.
    public mutating func drop(_ shard: Int) { held[shard] = nil }

    /// Computes an item on the engine.
    ///
    /// - Throws: `PermanentFailure` for what every worker would fail in, `EngineError` where memory is short.
    public func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
        do {
            return try EngineWork.perform(key, hints: hints, contents: contents, data: data)
        } catch let error as EngineError where !error.isOutOfMemory {
            // The engine computes the same everywhere; only memory differs from machine to machine.
            throw PermanentFailure("\(error)")
        } catch let error as WorkMismatch { throw PermanentFailure("the payload \(error)") }
    }

    /// Whoever computes on samples of a shard, and what it calls them.
    private func data(_ shard: Int, _ samples: [Int]) throws -> (Evaluator, [Int]) {
        if let whole { return (whole, samples) }
        guard let own = held[shard] else { throw ClusterError.shardMissing(shard) }
        let range = run.sharding.shardRange(shard)
        guard samples.allSatisfy(range.contains) else {
            throw PermanentFailure("an item has samples that are not in shard \(shard)")
        }
        return (own, samples.map { $0 - range.lowerBound })
    }

    // MARK: Files

    private static func graph(_ run: RunDescription, _ contents: ContentFetcher?, usesPaths: Bool) throws
        -> Graph
    {
        guard let contents else {
            try check(run.modelPath, ContentHash.digest(ofModel: run.modelPath), run.modelSHA256)
            return try Graph.executable(ModelFile(contentsOf: run.modelPath))
        }
        if usesPaths, let digest = try? ContentHash.digest(ofModel: run.modelPath), digest == run.modelSHA256
        {
            return try Graph.executable(ModelFile(contentsOf: run.modelPath))
        }
        let parts = try run.modelParts.map { ($0.name, try contents.path(of: $0.content)) }
        return try contents.cache.withModel(parts) { try Graph.executable(ModelFile(contentsOf: $0)) }
    }

    /// The whole data set, if the worker sees it and may hold it.
    private static func wholeData(
        _ run: RunDescription, _ inputs: [InputSpecification], _ contents: ContentFetcher?, usesPaths: Bool
    ) throws -> Dataset? {
        if contents == nil {
            try check(run.dataPath, ContentHash.digest(ofFile: run.dataPath), run.dataSHA256)
        } else {
            guard usesPaths, run.dataBytes <= run.dataBudget ?? .max,
                (try? ContentHash.digest(ofFile: run.dataPath)) == run.dataSHA256
            else { return nil }
        }
        let dataset = try Dataset(contentsOf: run.dataPath, inputs: inputs, limit: run.sampleLimit)
        guard dataset.samples == run.sharding.samples else {
            throw ClusterError.sampleCount(
                path: run.dataPath, expected: run.sharding.samples, found: dataset.samples)
        }
        return dataset
    }

    private static func check(_ path: String, _ digest: [UInt8], _ expected: [UInt8]) throws {
        let found = ContentHash.hexadecimal(digest)
        let wanted = ContentHash.hexadecimal(expected)
        guard found == wanted else {
            throw ClusterError.differentFile(path: path, expected: wanted, found: found)
        }
    }
}
