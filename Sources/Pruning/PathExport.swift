internal import Cluster
internal import ComputationGraph
internal import Engine
internal import FoundationEssentials
internal import Journal
internal import Search
internal import Work

/// The model of any state on the path of a run, written from the run's folder: of a finished run, of one that was
/// stopped as far as it got, or of one that goes on.
public struct PathExport: Encodable, Sendable {
    /// The run's folder.
    public let run: String
    /// The model that was pruned.
    public let model: String
    /// The step that was written; 0 is the unpruned model.
    public let step: Int
    /// The steps that the path has.
    public let steps: Int
    /// Whether the run is over; otherwise its path may still change.
    public let isComplete: Bool
    /// The removed edges, `NODE:SLOT`.
    public let removed: [String]
    /// The loss as the run measured it; `nil` when it is not finite.
    public let loss: Double?
    /// The loss minus the unpruned model's.
    public let lossChange: Double?
    /// Elements of the parameters that are left.
    public let parameters: Int
    /// Floating-point operations for one sample.
    public let flops: Int
    /// The file that was written.
    public let output: String

    /// Writes a state's model, checked by running it.
    ///
    /// - Parameters:
    ///   - step: the number of removals; `nil` for the last step.
    ///   - model: where the run's model is now; the path that the run was given unless told.
    ///   - data: data whose first block the model is tried on; the run's own unless told.
    /// - Throws: `JournalError` for a folder that holds no run, `InputError` for a step that there is not, a model that is
    ///   not there or another one.
    public init(run folder: String, step: Int?, model: String?, data: String?, output: String) throws {
        try OutputFile.checkWritable(output)
        let journal = try RunJournal.open(readOnlyIn: folder)
        let identity = journal.identity
        if identity.commandLine.dropFirst().first == "compare" {
            throw InputError(
                "\(folder): this is a comparison: the models of its strategies are in the folder")
        }
        let (base, path, isComplete) = try PathExport.path(of: journal)
        let number = step ?? path.count
        guard number <= path.count else {
            let length = path.isEmpty ? "has no step yet" : "ends at step \(path.count)"
            throw InputError(
                "\(folder): there is no step \(number): the path \(length)"
                    + (isComplete ? "" : ", and the run is not over"))
        }
        let state = number == 0 ? base : path[number - 1]
        let mask = state?.mask ?? .empty
        let source = try PathExport.source(model, identity, folder: folder)
        var workload = try Workload(
            model: source, options: PathExport.measurement(data, identity, folder: folder))
        if mask.units.contains(where: { $0.replacement == .mean }) {
            let records = try journal.records(ofStage: 0)
            workload.use(workload.means(from: try StatisticsSource.totals(of: records)))
        }
        workload.storedWeights = { name in
            guard let bytes = try journal.weights(name, ofStage: number + 2) else {
                throw InputError("\(folder): the weights of step \(number) are not in the journal")
            }
            return bytes
        }
        if let state, state.weights == nil, !state.variant.recovery.isNone, !mask.isEmpty {
            let recovery = state.variant.recovery
            let samples = try PathExport.fitSamples(of: identity, in: folder)
            let division = try? JSONDecoder().decode(Division.self, from: Data(identity.settings.utf8))
            workload.trainingLoss = try division?.loss.map {
                try LossDescription(text: $0, graph: workload.graph)
            }
            workload.recover(by: recovery, on: samples)
        }
        try workload.writePruned(mask, as: state?.recovered, to: output)

        run = folder
        self.model = source
        self.step = number
        steps = path.count
        self.isComplete = isComplete
        removed = mask.units.map(\.description)
        loss = state.flatMap { $0.loss.isFinite ? $0.loss : nil }
        lossChange = loss.flatMap { loss in base.map { loss - $0.loss } }
        let cost = workload.costs.cost(of: mask)
        parameters = cost.parameters
        flops = cost.flops
        self.output = output
    }

    /// The files that an export reads: the run's journal, its model and its data, or those that are given in their place.
    public static func given(run folder: String, model: String?, data: String?) -> GivenFiles {
        let identity = try? RunJournal.open(readOnlyIn: folder).identity
        return GivenFiles(
            models: [model ?? identity?.modelPath], data: [data ?? identity?.dataPath],
            others: [folder + "/" + RunJournal.fileName, PruneRun.fitSamplesPath(in: folder)])
    }

    /// The unpruned model, the path, and whether it is final.
    private static func path(of journal: RunJournal) throws -> (base: State?, path: [State], isComplete: Bool)
    {
        let levels = try journal.finishedStages(outcome: [StateRecord].self, notes: LevelNotes.self).map {
            (number: $0.number, states: $0.outcome.compactMap(\.state))
        }
        let base = levels.first { $0.number == 0 }?.states.first
        if let outcome = try journal.outcome(as: RunOutcome.self) {
            return (base, outcome.path.compactMap(\.state), true)
        }
        let kept = levels.filter { $0.number > 0 && !$0.states.isEmpty }.map(\.states)
        guard let best = kept.last?.first else { return (base, [], false) }
        return (base, Search.path(to: best, through: kept), false)
    }

    /// The model's file, which has to be the one that was pruned.
    private static func source(_ given: String?, _ identity: RunIdentity, folder: String) throws -> String {
        let argument = given ?? identity.modelPath
        let path = try ModelSource.modelPath(argument)
        guard FileManager.default.fileExists(atPath: path) else {
            throw InputError(
                given == nil
                    ? "\(folder): the run's model \(path) is not here; name it with --model FILE"
                    : "\(path): there is no such file")
        }
        let digest = ContentHash.hexadecimal(try ContentHash.digest(ofModel: path))
        guard digest == identity.modelSHA256 else {
            throw InputError(
                "\(path) is not the model that the run in \(folder) pruned: its SHA-256 is \(digest), that one's "
                    + "\(identity.modelSHA256); name the right one with --model FILE")
        }
        return argument
    }

    /// The samples that the run's layers were fitted on.
    private static func fitSamples(of identity: RunIdentity, in folder: String) throws -> FitSamples {
        let path = PruneRun.fitSamplesPath(in: folder)
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw InputError(
                "\(path): the samples that the run's layers were fitted on are not here: --resume writes them anew"
            )
        }
        let samples = FitSamples(kept: [UInt8](bytes))
        let settings = try? JSONDecoder().decode(Division.self, from: Data(identity.settings.utf8))
        guard settings?.fitSamples == ContentHash.hexadecimal(samples.content.sha256) else {
            throw InputError(
                "\(path): these are not the samples that the run's layers were fitted on: --resume writes them anew"
            )
        }
        return samples
    }

    /// What of the run's settings is needed here.
    private struct Division: Decodable {
        let fitSamples: String?
        let samples: Int
        let blockSize: Int
        let loss: String?
    }

    /// The data, as the run divided them. The loss does not matter: one is taken that every data have.
    private static func measurement(_ given: String?, _ identity: RunIdentity, folder: String) throws
        -> MeasurementOptions
    {
        let division = try? JSONDecoder().decode(Division.self, from: Data(identity.settings.utf8))
        let loss = LossRequest(
            terms: [LossRequest.Term(loss: .selfMeanSquaredError)],
            sampleAxes: LossDescription.inputAxes(inText: division?.loss ?? ""), allowsMixedSamples: true)
        if let given { return MeasurementOptions(data: given, loss: loss) }
        let path = try ModelSource.dataPath(identity.dataPath)
        guard FileManager.default.fileExists(atPath: path) else {
            throw InputError(
                "\(folder): the run's data \(path) are not here; name them, or other data for the same inputs, with "
                    + "--data FILE")
        }
        return MeasurementOptions(
            data: identity.dataPath, samples: division?.samples, blockSize: division?.blockSize, loss: loss)
    }
}
