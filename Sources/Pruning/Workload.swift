public import ComputationGraph
public import Datasets
public import Engine
internal import ONNX
public import Search

/// How data is read and divided, and what is measured on it.
public struct MeasurementOptions: Sendable, Hashable {
    /// The data file or example.
    public var data: String
    /// Use only the first so many samples.
    public var samples: Int?
    /// Samples per block; chosen from the memory budget unless given.
    public var blockSize: Int?
    /// The number of parts that the data is divided into.
    public var shards: Int
    /// The loss; chosen from the data unless given.
    public var loss: Loss?
    /// Bytes that a worker may take.
    public var memory: Int

    /// Options with sensible defaults.
    public init(
        data: String, samples: Int? = nil, blockSize: Int? = nil, shards: Int = 1, loss: Loss? = nil,
        memory: Int = MeasurementOptions.defaultMemory
    ) {
        self.data = data
        self.samples = samples
        self.blockSize = blockSize
        self.shards = shards
        self.loss = loss
        self.memory = memory
    }

    /// 2 GiB.
    public static let defaultMemory = 2 << 30
    /// The block size that is tried first.
    public static let preferredBlockSize = 64
}

/// A model, data, and how the one is measured on the other.
public struct Workload {
    /// The model's graph.
    public let graph: Graph
    /// The samples.
    public let dataset: Dataset
    /// The model, ready to run.
    public let network: Network
    /// What is measured.
    public let loss: Loss
    /// The samples in shards and blocks, with their weights.
    public let division: SampleDivision
    /// What each mask costs.
    public let costs: CostModel
    /// The data file.
    public let dataPath: String
    /// The options that it was made with.
    public let options: MeasurementOptions

    /// Loads everything and runs the unpruned model once, so that what does not fit is found before any search.
    ///
    /// - Throws: errors that name the file, array, node or edge.
    public init(model: String, options: MeasurementOptions) throws {
        let path = try ModelSource.dataPath(options.data)
        dataPath = path
        self.options = options
        graph = try ModelSource.graph(model)
        dataset = try Dataset(
            contentsOf: path, inputs: graph.inputs.map(InputSpecification.init), limit: options.samples)
        loss = options.loss ?? Loss.natural(for: dataset)
        let weights = try loss.weights(for: dataset)
        network = try Network(graph)
        let fixed = graph.inputs.compactMap { $0.shape.first ?? nil }.first
        let size = try Workload.blockSize(network: network, dataset: dataset, fixed: fixed, options: options)
        let sharding = try Sharding(samples: dataset.samples, shards: options.shards, blockSize: size)
        if let fixed {
            for shard in 0..<sharding.shards where sharding.shardRange(shard).count % fixed != 0 {
                throw InputError(
                    "the model was exported for batches of exactly \(fixed): the number of samples in every shard must "
                        + "be a multiple of that (--samples), and shard \(shard) has \(sharding.shardRange(shard).count)"
                )
            }
        }
        division = SampleDivision(sharding: sharding, weights: weights)
        let block = Array(sharding.naturalBlocks(of: 0)[0])
        let shapes = try network.shapes(for: dataset, samples: block)
        costs = CostModel(graph: graph, shapes: shapes.values, samples: block.count)
        // The loss is tried on the first block, so that labels and shapes that do not fit are found now.
        _ = try evaluator().evaluate(state: .empty, samples: block, expansions: [nil])
    }

    /// An evaluator of this workload in this process.
    public func evaluator() throws -> Evaluator { try Evaluator(network, dataset: dataset, loss: loss) }

    /// The candidates that a selection names, at least one.
    ///
    /// - Throws: `InputError` when there is nothing to search; `GraphError` for a pattern that matches nothing.
    func candidates(_ selection: CandidateSelection) throws -> Candidates {
        let candidates = try Candidates(of: graph, selection: selection)
        guard !candidates.representatives.isEmpty else {
            throw InputError(
                "\(graph.model.path): there is no candidate edge: "
                    + (selection == .branches
                        ? "no layer joins two branches; --candidates all looks at every edge"
                        : "every output would lose its last path from a model input"))
        }
        return candidates
    }

    /// The number of labels that accuracy is a share of; `nil` without labels.
    public var countedLabels: Int? {
        guard loss.needsLabels, let labels = dataset.labels, let all = try? labels.int64s() else {
            return nil
        }
        let positions = labels.rowElementCount
        return all.enumerated().count { index, label in
            label != Dataset.ignoredLabel && !(loss == .nextToken && index % positions == 0)
        }
    }

    /// The largest power of two up to the preferred size whose block fits the memory budget.
    private static func blockSize(
        network: Network, dataset: Dataset, fixed: Int?, options: MeasurementOptions
    ) throws -> Int {
        let largest =
            fixed ?? options.blockSize ?? min(MeasurementOptions.preferredBlockSize, dataset.samples)
        if let fixed, let asked = options.blockSize, asked != fixed {
            throw InputError(
                "the model was exported for batches of exactly \(fixed), so --block-size must be \(fixed)")
        }
        let probe = fixed ?? 1
        let shapes = try network.shapes(for: dataset, samples: Array(0..<min(probe, dataset.samples)))
        func bytes(_ size: Int) -> Int {
            // Kept activations, as much again for the expansion in work, and the process itself.
            let (activations, overflow) = (2 * shapes.activationBytes / probe).multipliedReportingOverflow(
                by: size)
            return overflow || activations > 1 << 60
                ? .max : network.weightBytes * 2 + activations + Workload.processBytes
        }
        var size = largest
        if options.blockSize == nil && fixed == nil {
            while size > 1 && bytes(size) > options.memory { size /= 2 }
        }
        guard bytes(size) <= options.memory else {
            throw InputError(
                "a block of \(size) samples takes about \(bytes(size) >> 20) MiB, more than the budget of "
                    + "\(options.memory >> 20) MiB (--memory, --block-size)")
        }
        return size
    }

    /// What a process takes before any model is loaded.
    static let processBytes = 300 << 20
}

extension InputSpecification {
    /// What the model declares of an input. The first dimension counts samples, whatever the export fixed it to.
    init(_ port: Port) throws(DatasetError) {
        let shape: [Int?]? = port.hasShape ? port.shape.enumerated().map { $0 == 0 ? nil : $1 } : nil
        try self.init(name: port.name, elementTypeName: port.elementType.name, shape: shape)
    }
}
