internal import Cluster
internal import ComputationGraph
internal import Datasets
internal import Engine
public import Work

/// The samples that layers are refitted on: model inputs without labels.
public struct FitSamples: Sendable {
    /// The inputs as whoever fits reads them.
    let bytes: [UInt8]
    /// The bytes' name.
    public let content: ContentID
    /// How many samples they are.
    public let samples: Int
    /// Where they come from, in words.
    public let origin: String
    /// Samples of the selection data that were set apart for them.
    let excluded: Set<Int>
    /// What tells them from others.
    private let hashes: [ContentID]
    /// What is worth a line.
    private(set) var notes: [String]

    /// As many are trained on unless told otherwise.
    private static let usualTrainingSamples = 4096
    /// The bytes that these may take, for every worker gets all of them.
    private static let usualTrainingBytes = 1 << 30
    /// The bytes that all values of the samples may take together where nobody says how many samples there shall be. The same
    /// on all machines, since the samples decide the weights.
    private static let usualBytes = 4 << 30
    private static let fewestSamples = 16

    /// The samples that options name; `nil` where nothing is recovered.
    ///
    /// - Parameters:
    ///   - dataset: the selection data.
    ///   - data: the selection data's name, for errors.
    /// - Throws: `InputError` where there are too few samples to set some apart; `DatasetError` for other data that do not fit.
    init?(
        _ options: RecoveryOptions, for graph: Graph, dataset: Dataset, network: Network, data: String
    ) throws {
        guard !options.recovery.isNone else { return nil }
        let trains = options.recovery.training != nil
        let fixed = graph.fixedSamples(dataset)
        let shapes = try network.shapes(for: dataset, samples: Array(0..<min(fixed ?? 1, dataset.samples)))
        let bytesPerSample = max(1, shapes.activationBytes / (fixed ?? 1))
        let limit =
            options.samples
            ?? min(
                trains ? FitSamples.usualTrainingSamples : FitData.usualSamples,
                trains
                    ? max(
                        FitSamples.fewestSamples,
                        FitSamples.usualTrainingBytes * dataset.samples / dataset.byteCount)
                    : max(FitSamples.fewestSamples, FitSamples.usualBytes / bytesPerSample))
        let source: Dataset
        let chosen: [Int]
        if let name = options.data {
            source = try Dataset(
                contentsOf: ModelSource.dataPath(name), of: graph, axes: dataset.inputAxes, limit: nil)
            chosen = FitHash.drawn(min(limit, source.samples), of: source.samples)
            excluded = []
            origin = name
            hashes = try source.hashes(of: chosen)
            let shared = try dataset.hashes(of: Array(0..<dataset.samples)).count(
                where: Set(hashes).contains)
            notes =
                shared > 0
                ? [
                    "warning: layers are fitted on \(shared == 1 ? "1 sample that is" : "\(shared) samples that are") also among those that the loss is measured on"
                ] : []
        } else {
            guard (fixed ?? 1) == 1, dataset.samples >= 2 else {
                throw InputError(
                    dataset.samples < 2
                        ? "\(data): a single sample cannot be divided into one to fit on and one to measure: name others "
                            + "with --fit-data FILE"
                        : "the model was exported for batches of exactly \(fixed ?? 1): name the data to fit on with "
                            + "--fit-data FILE")
            }
            source = dataset
            chosen = FitHash.drawn(min(limit, dataset.samples / 2), of: dataset.samples)
            excluded = Set(chosen)
            hashes = try source.hashes(of: chosen)
            origin = "\(chosen.count) of the \(dataset.samples) samples of \(data), set apart"
            notes = []
        }
        let whole = fixed.map { chosen.count / $0 * $0 } ?? chosen.count
        guard whole > 0 else {
            throw InputError(
                "\(options.data ?? data): there are too few samples to fit on for batches of exactly \(fixed ?? 1)"
            )
        }
        if options.recovery.refitsLayers {
            let maps = LinearMaps(of: graph)
            if maps.maps.isEmpty {
                throw InputError(
                    "the model has no linear layer that can be refitted: --recover \(options.recovery) has nothing to do"
                )
            }
            notes += maps.note(in: graph).map { [$0] } ?? []
        }
        samples = whole
        bytes = try FitData.encode(Array(chosen.prefix(whole)), of: source, withAnswers: trains)
        content = ContentHash.content(of: bytes)
    }

    /// The samples as a run kept them.
    ///
    /// - Parameter bytes: those of an `.npz` file with an array for each model input.
    init(kept bytes: [UInt8]) {
        self.bytes = bytes
        content = ContentHash.content(of: bytes)
        (samples, origin, excluded, hashes, notes) = (0, "", [], [], [])
    }

    /// How many samples of other data are among these.
    func count(in dataset: Dataset) throws -> Int {
        let own = Set(hashes)
        return try dataset.hashes(of: Array(0..<dataset.samples)).count(where: own.contains)
    }

}

extension Dataset {
    /// What tells samples apart: a hash of all that is a sample's own.
    func hashes(of samples: [Int]) throws -> [ContentID] {
        let names = inputNames.filter { inputAxes[$0] != -1 }
        return try samples.map { sample in
            ContentHash.content(of: try names.flatMap { try gather([sample], from: $0).bytes })
        }
    }

    /// How many of the samples are among others too.
    func count(sharedWith other: Dataset) throws -> Int {
        let others = Set(try other.hashes(of: Array(0..<other.samples)))
        return try hashes(of: Array(0..<samples)).count(where: others.contains)
    }
}
