public import ComputationGraph
internal import Engine
public import Logging
public import Report
internal import Search
internal import Work
internal import ONNX

/// What became of one line of a list of masks: its measurement, or what is wrong with it.
public struct MaskEvaluation: Encodable, Sendable {
    /// The line's number, from 1.
    public let line: Int
    /// The line as it stands in the file.
    public let mask: String
    /// The measurement; `nil` when `error` says why there is none.
    public let evaluation: Evaluation?
    /// What is wrong with the line, a sentence that names file and line; `nil` when nothing is.
    public let error: String?

    /// Measures every mask of a text file, one mask per line. A line that is wrong stops none of the others.
    ///
    /// - Parameters:
    ///   - folder: where the pruned models go, numbered from 0 by line; none are written without it.
    ///   - each: called with every line's result as soon as it is there, and how far the list is.
    /// - Throws: `InputError` when there is no list; what reading data and writing files throws; `Interrupted`.
    public static func all(
        ofMasksIn path: String, replacement: Replacement = .zero, in workload: Workload,
        writingTo folder: String?, interruption: Interruption? = nil,
        each: (MaskEvaluation, ProgressLine) -> Void = { _, _ in }
    ) async throws -> [MaskEvaluation] {
        let list = try MaskList(contentsOf: path, replacement: replacement)
        var workload = workload
        try await workload.measureMeans(for: list.masks)
        if let folder { try OutputFile.makeFolder(folder) }
        let clock = ContinuousClock()
        let unpruned = try await workload.measure(.empty)
        let start = clock.now
        var results: [MaskEvaluation] = []
        for (index, line) in list.lines.enumerated() {
            try interruption?.check()
            var evaluation: Evaluation?
            var problem: String?
            do {
                let mask = try line.mask.get()
                evaluation = try await Evaluation(of: mask, comparedWith: unpruned, in: workload)
                if let folder {
                    try workload.writePruned(mask, measured: evaluation, to: "\(folder)/\(index).onnx")
                }
            } catch let error where isAboutTheMask(error) {
                evaluation = nil
                problem = "\(path), line \(line.number): \(error)"
            }
            results.append(
                MaskEvaluation(line: line.number, mask: line.text, evaluation: evaluation, error: problem))
            each(
                results[index],
                ProgressLine(
                    label: "masks", unit: "masks", done: index + 1, total: list.lines.count,
                    elapsed: (clock.now - start) / .seconds(1)))
        }
        return results
    }

    /// Measures every mask of a text file on workers: the same to the bit as in this process.
    ///
    /// - Parameters:
    ///   - replacement: what removed edges read, where the line does not say.
    ///   - folder: where the pruned models go, numbered from 0 by line; none are written without it.
    /// - Throws: as `all(ofMasksIn:)`; `CoordinationError` for what stops a run on workers.
    static func all(
        ofMasksIn path: String, replacement: Replacement, in start: Workload, on backend: EvaluationBackend,
        writingTo folder: String?
    ) async throws -> [MaskEvaluation] {
        let list = try MaskList(contentsOf: path, replacement: replacement)
        if let folder { try OutputFile.makeFolder(folder) }
        var workload = start
        // What can be told without computing is told of the line alone.
        let checked: [Result<Mask, any Error>] = list.lines.map { line in
            Result {
                let mask = try line.mask.get()
                try start.checkRemovable(mask)
                return mask
            }
        }
        let masks = [Mask.empty] + checked.compactMap { try? $0.get() }
        // Where masks are recovered, each at the cut too, behind them all.
        let recovered = masks.map { start.variant($0) }
        let isRecovered = start.fit != nil
        let variants = isRecovered ? recovered + masks.map { Variant($0) } : recovered
        let journal = SharedResults()
        let (source, _) = try await backend.evaluate(workload, journal: journal) { runner in
            let means = try await workload.measureMeans(for: masks.flatMap(\.units), on: runner)
            var fitData: ContentID?
            if let fit = workload.fit { fitData = try await runner.provide(fit.bytes) }
            return try await runner.run(
                MaskListSource(variants, division: workload.division, means: means, fitData: fitData))
        }
        guard let unpruned = source.state(ofMask: 0, cost: workload.costs.cost(of: .empty)) else {
            throw SearchError.baseNotMeasured
        }
        var next = 0
        return try zip(list.lines, checked).enumerated().map { index, entry in
            let (line, checked) = entry
            do {
                let mask = try checked.get()
                next += 1
                guard let state = source.state(ofMask: next, cost: workload.costs.cost(of: mask)) else {
                    throw SearchError.baseNotMeasured
                }
                let atCut =
                    isRecovered && !mask.isEmpty
                    ? source.state(ofMask: masks.count + next, cost: workload.costs.cost(of: mask)) : nil
                let evaluation = Evaluation(of: state, atCut: atCut, comparedWith: unpruned, in: workload)
                if let folder {
                    try workload.writePruned(mask, measured: evaluation, to: "\(folder)/\(index).onnx")
                }
                return MaskEvaluation(line: line.number, mask: line.text, evaluation: evaluation, error: nil)
            } catch let error where isAboutTheMask(error) {
                return MaskEvaluation(
                    line: line.number, mask: line.text, evaluation: nil,
                    error: "\(path), line \(line.number): \(error)")
            }
        }
    }

    /// Measures every mask of a text file on workers.
    public static func all(
        ofMasksIn path: String, replacement: Replacement, in workload: Workload, workers: Int,
        remote: RemoteWorkers?, writingTo folder: String?, logger: Logger, interruption: Interruption,
        observer: any PruneObserver
    ) async throws -> [MaskEvaluation] {
        let start = ContinuousClock.now
        let board = StatusBoard(
            model: workload.graph.model.path, data: workload.dataPath, observer: observer)
        let backend = EvaluationBackend(
            workers: workers, remote: remote, logger: logger, interruption: interruption,
            noted: { board.note($0) }, board: board
        ) { source in
            let (done, total) =
                (source as? MaskListSource)?.progress ?? (source as? StatisticsSource)?.progress ?? (0, 0)
            observer.working(
                ProgressLine(
                    label: source is MaskListSource ? "masks" : "means over the data",
                    unit: source is MaskListSource ? "block evaluations" : "parts",
                    done: done, total: total, elapsed: (ContinuousClock.now - start) / .seconds(1)))
            try interruption.check()
        }
        return try await all(
            ofMasksIn: path, replacement: replacement, in: workload, on: backend, writingTo: folder)
    }

    /// Whether an error says something of this mask alone, so that the next one is worth trying.
    private static func isAboutTheMask(_ error: any Error) -> Bool {
        error is InputError || error is GraphError || error is EngineError || error is MaterialisingError
            || error is NonFiniteError
    }

    /// The keys of `Evaluation` and the line's number; of a line that is wrong the number, the line and the error.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(line, forKey: .line)
        if let evaluation { return try evaluation.encode(to: encoder) }
        try container.encode(mask, forKey: .mask)
        try container.encode(error, forKey: .error)
        try container.encodeNil(forKey: .loss)
    }

    private enum CodingKeys: CodingKey { case line, mask, error, loss }
}
