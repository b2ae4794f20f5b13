internal import ComputationGraph
internal import Engine
public import Report

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
        ofMasksIn path: String, in workload: Workload, writingTo folder: String?,
        interruption: Interruption? = nil, each: (MaskEvaluation, ProgressLine) -> Void = { _, _ in }
    ) async throws -> [MaskEvaluation] {
        let list = try MaskList(contentsOf: path)
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
