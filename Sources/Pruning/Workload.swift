public import ComputationGraph
public import Datasets
public import Engine
internal import Cluster
internal import Computations
internal import ONNX
public import Search
public import Work

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
    /// The loss; what is not said is chosen from model and data.
    public var loss: LossRequest
    /// Bytes that a process may take that computes; follows from the machine and `processes` unless given.
    public var memory: Int?
    /// The processes that compute on this machine at the same time.
    public var processes: Int
    /// What refits the weights before a mask is measured.
    public var recovery = RecoveryOptions()

    /// Options with sensible defaults.
    public init(
        data: String, samples: Int? = nil, blockSize: Int? = nil, shards: Int = 1,
        loss: LossRequest = LossRequest(), memory: Int? = nil, processes: Int = 1
    ) {
        self.data = data
        self.samples = samples
        self.blockSize = blockSize
        self.shards = shards
        self.loss = loss
        self.memory = memory
        self.processes = processes
    }

    /// Bytes that a process may take that computes.
    public var memoryBudget: Int { memory ?? MemoryPlan.defaultBudget(processes: processes) }
    /// The largest block that is chosen.
    public static let largestBlock = 64
}

/// A model, data, and how the one is measured on the other.
public struct Workload {
    /// The model's graph.
    public internal(set) var graph: Graph
    /// The samples.
    public let dataset: Dataset
    /// The model, ready to run.
    public internal(set) var network: Network
    /// What is measured.
    public let loss: LossDescription
    /// What was decided of the loss, and is worth a line.
    public let notes: [String]
    /// The samples in shards and blocks, with their weights.
    public let division: SampleDivision
    /// The labels that count towards the accuracy; `nil` without labels.
    public let countedLabels: LabelCounts?
    /// How the sizes of all values follow from those of the inputs.
    var valueShapes: ValueShapes
    /// What each mask costs.
    public internal(set) var costs: CostModel
    /// What removed slots read that masks replace by means; none until they are measured.
    public internal(set) var means = ValueMeans()
    /// The data file.
    public let dataPath: String
    /// The options that it was made with.
    public internal(set) var options: MeasurementOptions
    /// The samples that layers are refitted on; `nil` where nothing is recovered.
    public internal(set) var fit: FitSamples?
    /// The loss that trainings within a recovery go by, where it is another than the one that is measured.
    var trainingLoss: LossDescription?
    /// The bytes of the largest gradient that is asked for.
    var largestGradient = 0
    /// Gives the bytes of weights that a search's states have.
    var storedWeights: (WeightsID) throws -> [UInt8] = { name in
        throw InputError("the weights \(name) were not kept")
    }
    /// How the memory of a process that computes is divided.
    let memory: MemoryPlan
    private let constants: ConstantLoss

    /// Loads everything and runs the unpruned model once, so that what does not fit is found before any search.
    ///
    /// - Throws: errors that name the file, array, node or edge.
    ///
    /// - Parameter measured: the loss of another workload of the same model, so that the two can be compared.
    public init(model: String, options: MeasurementOptions, measuring measured: LossDescription? = nil) throws
    {
        let path = try ModelSource.dataPath(options.data)
        dataPath = path
        self.options = options
        graph = try ModelSource.graph(model)
        dataset = try Dataset(
            contentsOf: path, of: graph, axes: options.loss.sampleAxes, limit: options.samples)
        network = try Network(graph)
        let fixed = graph.fixedSamples(dataset)
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
        fit = try FitSamples(
            options.recovery, for: graph, dataset: dataset, network: network, data: options.data)
        let block = Array(sharding.naturalBlocks(of: 0)[0])
        memory = try MemoryPlan(
            budget: options.memoryBudget, network: network, dataset: dataset, samples: block)
        valueShapes = try network.valueShapes(for: dataset, memory: options.memoryBudget)
        costs = CostModel(
            graph: graph, shapes: valueShapes, samples: min(fixed ?? 1, dataset.samples),
            addsBiases: options.recovery.recovery.refitsLayers)
        let constants = ConstantPredictor(
            network, dataset: dataset, blockSize: size,
            weights: try dataset.weights?.floats() ?? [Float](repeating: 1, count: dataset.samples),
            limit: Workload.constantSamples(flops: costs.cost(of: .empty).flops))
        if let measured {
            (loss, notes) = (measured, fit?.notes ?? [])
        } else {
            let resolution = try LossResolution(
                options.loss, network: network, dataset: dataset, block: block, constants: constants.losses)
            (loss, notes) = (resolution.description, resolution.notes + (fit?.notes ?? []))
        }
        let excluded = fit?.excluded ?? []
        countedLabels = try loss.labelCounts(in: dataset).map { $0.excluding(excluded) }
        division = SampleDivision(
            sharding: sharding, weights: try loss.weights(for: dataset), excluding: excluded)
        self.constants = ConstantLoss(constants)
        if let fit, options.recovery.recovery.training != nil {
            do { _ = try loss.weights(for: evaluator().fitData(encoded: fit.bytes).dataset) } catch {
                throw InputError("\(fit.origin): it cannot be trained on: \(error)")
            }
        }
        // The loss is tried on the first block, so that labels and shapes that do not fit are found now.
        _ = try evaluator().evaluate(
            state: .empty, samples: block, expansions: [nil], reuseHints: [], stage: 0)
    }

    /// An evaluator of this workload in this process.
    ///
    /// - Parameter parameters: another version of the weights to run with.
    public func evaluator(with parameters: Parameters? = nil) throws -> Evaluator {
        let evaluator = try Evaluator(
            network, dataset: dataset, loss: loss, keptBytes: memory.kept, parameters: parameters)
        if !means.means.isEmpty {
            try evaluator.useMeans(named: ContentHash.content(of: MeansTable.encode(means)).sha256) { means }
        }
        if let fit {
            try evaluator.useFitData(named: fit.content.sha256, trainedBy: trainingLoss) {
                try evaluator.fitData(encoded: fit.bytes)
            }
        }
        return evaluator
    }

    /// A runner that computes this workload's items in this process.
    ///
    /// - Parameters:
    ///   - journal: keeps every result, and gives back those of an earlier run.
    ///   - progress: called after every item; what it throws ends the run.
    public func runner(
        journal: (any WorkJournal)? = nil, progress: @escaping (any WorkSource) throws -> Void = { _ in }
    ) throws -> LocalRunner {
        let evaluator = try evaluator()
        return LocalRunner(journal: journal, progress: progress, name: ContentHash.content(of:)) {
            item, contents in
            try EngineWork.perform(item.key, hints: item.hints, contents: contents) { _, samples in
                (evaluator, samples)
            }
        }
    }

    /// The candidates that a selection names, at least one.
    ///
    /// - Throws: `InputError` when there is nothing to search; `GraphError` for a pattern that matches nothing.
    func candidates(_ selection: CandidateSelection, units: UnitSelection = UnitSelection()) throws
        -> Candidates
    {
        let candidates = try Candidates(of: graph, selection: selection, units: units, costs: costs)
        guard !candidates.units.isEmpty else {
            let reason =
                switch selection {
                case .blocks:
                    "no branch can go whose removal saves weights or a thousandth of the operations; --candidates "
                        + "branches looks at everything that joins, all at every edge"
                case .branches: "no layer joins two branches; --candidates all looks at every edge"
                default: "every output would lose its last path from a model input"
                }
            throw InputError("\(graph.model.path): there is no candidate edge: \(reason)")
        }
        return candidates
    }

    /// What is worth a line of the order inside layers; `nil` for nothing.
    func orderNote(_ candidates: Candidates) -> String? {
        guard let criterion = candidates.criterion, criterion != .wanda, loss.needsReference else {
            return nil
        }
        return
            "note: the loss compares with the unpruned model, whose gradients are 0: the order inside its layers is that "
            + "of the magnitudes (\(criterion.rawValue) needs labels or targets; wanda needs none)"
    }

    /// The loss of a model that gives the same output for every sample, which gives losses a scale; `nil` where there is
    /// none.
    ///
    /// For losses that compare with the unpruned model it is estimated from up to 256 samples, fewer of a large model.
    public func constantPredictorLoss() throws -> Double? { try constants.total(loss) }

    /// As many samples as take some ten seconds.
    private static func constantSamples(flops: Int) -> Int {
        min(256, max(16, 200_000_000_000 / max(flops, 1)))
    }
}

/// The loss of a constant output, computed when it is first asked for.
private final class ConstantLoss {
    private let predictor: ConstantPredictor
    private var known: Double??

    init(_ predictor: ConstantPredictor) { self.predictor = predictor }

    func total(_ loss: LossDescription) throws -> Double? {
        if let known { return known }
        let losses = try predictor.losses(loss)
        let total = zip(loss.terms, losses).reduce(0) { $0 + ($1.1 ?? .nan) * $1.0.weight / $1.0.unit }
        known = .some(total.isFinite ? total : nil)
        return total.isFinite ? total : nil
    }
}
