public import ComputationGraph
public import Datasets
public import Search

/// What a run found and what it took: the content of `prune --json`, of `summary.txt` and of the path's CSV.
public struct RunSummary: Sendable {
    /// What was measured of one state.
    public struct Measurement: Sendable, Hashable {
        /// The removed edges, in canonical order.
        public let removed: [Unit]
        /// The weighted mean loss; infinite when a sample's is no number.
        public let loss: Double
        /// L′ − L, signed.
        public let lossChange: Double
        /// Correct predictions per counted label, 0 to 1; `nil` without labels.
        public let accuracy: Double?
        /// Parameters of the pruned model.
        public let parameters: Int
        /// Floating-point operations of the pruned model for one sample.
        public let flops: Int
        /// Samples whose loss is no finite number.
        public let nonFiniteLosses: Int
        /// The same on held-out data; `nil` where there were none.
        public let validation: HeldOutSummary.Measurement?

        /// The loss in units of that of a constant output; `nil` where there is no such scale.
        public let relativeLoss: Double?

        init(
            _ state: State, baseLoss: Double, countedLabels: LabelCounts?, heldOut: HeldOutSummary?,
            measured: LossReport? = nil
        ) {
            relativeLoss = measured?.relative(state.loss)
            validation = heldOut?.measurements[state.mask]
            removed = state.mask.units
            loss = state.loss
            lossChange = state.loss - baseLoss
            accuracy = state.correct.flatMap { countedLabels?.accuracy(correct: $0) }
            parameters = state.cost.parameters
            flops = state.cost.flops
            nonFiniteLosses = state.nonFiniteLosses
        }
    }

    /// One removal of the path.
    public struct Step: Sendable, Hashable {
        /// The number of the removal, from 1.
        public let step: Int
        /// The edge that was removed.
        public let edge: NamedEdge
        /// The model after it.
        public let measurement: Measurement
    }

    /// What a level kept, and its work.
    public struct LevelSummary: Sendable, Hashable, Encodable {
        /// The number of removals; 0 is the measurement of the full model.
        public let number: Int
        /// The work of the level.
        public let work: WorkCount
        /// The kept states, best first.
        public let kept: [Measurement]
    }

    /// The full model.
    public let base: Measurement
    /// From the first removal to the result.
    public let path: [Step]
    /// The work of all levels.
    public let work: WorkCount
    /// Wall time, seconds.
    public let seconds: Double
    /// How many workers took part.
    public let workers: Int
    /// Machines whose results were used although they compute other bits than the last coordinator: the run's bits are then
    /// not those of one machine.
    public let mixedNumerics: [String]
    /// Samples that the losses are averaged over.
    public let samples: Int
    /// Samples per block.
    public let blockSize: Int
    /// Shards that the samples are divided into.
    public let shards: Int
    /// What was asked for.
    public let settings: SearchSettings
    /// The loss function's name.
    public let loss: String
    /// Which outputs were measured, and on what scale; `nil` where that was not told.
    public let measured: LossReport?
    /// Level by level.
    public let levels: [LevelSummary]
    /// What was left out, and what is known of it; `nil` when nothing was, so that the result is exact.
    public let screening: ScreeningReport?
    /// Why the search ended.
    public let end: SearchEnd
    /// The kept states that no other beats in both loss and parameters, from the full model down.
    public let parameterFront: [Measurement]
    /// The same for floating-point operations.
    public let flopsFront: [Measurement]
    /// The data that the search never saw; `nil` where there were none.
    public let validation: HeldOutSummary?

    /// The summary of a search.
    ///
    /// - Parameters:
    ///   - result: what the search found.
    ///   - graph: the graph that was searched.
    ///   - division: the samples and how they were divided.
    ///   - settings: what was asked for.
    ///   - loss: the loss function's name.
    ///   - measured: which outputs were measured, and on what scale.
    ///   - countedLabels: the labels that count towards the accuracy; `nil` without labels.
    ///   - seconds: the wall time.
    ///   - workers: how many workers took part.
    ///   - mixedNumerics: machines of results in other bits than the coordinator's.
    ///   - validation: what was measured on data that the search never saw.
    ///   - blockNames: the modules of what goes with an edge, where they are known.
    public init(
        result: SearchResult, graph: Graph, division: SampleDivision, settings: SearchSettings, loss: String,
        measured: LossReport? = nil, countedLabels: LabelCounts?, seconds: Double, workers: Int,
        mixedNumerics: [String] = [], validation: HeldOutSummary? = nil, blockNames: [Edge: String] = [:]
    ) {
        self.validation = validation
        func measurement(_ state: State) -> Measurement {
            Measurement(
                state, baseLoss: result.base.loss, countedLabels: countedLabels, heldOut: validation,
                measured: measured)
        }
        base = measurement(result.base)
        path = result.path.enumerated().compactMap { index, state in
            state.unit.map {
                Step(
                    step: index + 1, edge: NamedEdge($0, in: graph, block: blockNames[$0.edge]),
                    measurement: measurement(state))
            }
        }
        work = result.totalWork
        self.seconds = seconds
        self.workers = workers
        self.mixedNumerics = mixedNumerics
        samples = division.sharding.samples
        blockSize = division.sharding.blockSize
        shards = division.sharding.shards
        self.settings = settings
        self.loss = loss
        self.measured = measured
        // The last level may have kept nothing.
        levels = result.work.enumerated().map { number, work in
            let kept =
                number == 0 ? [result.base] : number <= result.levels.count ? result.levels[number - 1] : []
            return LevelSummary(number: number, work: work, kept: kept.map(measurement))
        }
        screening = result.screening
        end = result.end
        parameterFront = result.paretoFront(of: .parameters).map(measurement)
        flopsFront = result.paretoFront(of: .flops).map(measurement)
    }

    /// The share of the full model's cost that the result has, of what the budget counts; `nil` without a budget.
    public var reachedShare: Double? {
        settings.until.map { budget in
            let last = path.last?.measurement ?? base
            return budget.quantity == .flops
                ? Double(last.flops) / Double(max(1, base.flops))
                : Double(last.parameters) / Double(max(1, base.parameters))
        }
    }

    /// Whether a budget was asked for and is not reached.
    public var missesBudget: Bool {
        settings.until.flatMap { budget in reachedShare.map { $0 > budget.fraction } } ?? false
    }

    /// How many times fewer block evaluations the search took than brute force; `nil` before anything was evaluated.
    public var savingOverBruteForce: Double? {
        work.blockEvaluations > 0
            ? Double(work.bruteForceBlockEvaluations) / Double(work.blockEvaluations) : nil
    }

    /// How many times more block evaluations it took than with the best totals known in advance.
    public var ratioToClairvoyant: Double? {
        work.clairvoyantBlockEvaluations > 0
            ? Double(work.blockEvaluations) / Double(work.clairvoyantBlockEvaluations) : nil
    }
}
