internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Report
internal import Search

/// Measures masks on data that a search never sees, each once. What comes out never chooses anything.
struct HeldOut {
    /// The data as they were named.
    let data: String
    private var workload: Workload
    private var known: [Mask: State] = [:]

    /// Loads the data, which is measured by the same loss as the search's.
    ///
    /// - Throws: what loading a workload throws, e.g. when the data lack labels that the loss needs.
    init(_ data: String, model: String, like workload: Workload) throws {
        var options = workload.options
        options.data = data
        options.samples = nil
        self.data = data
        self.workload = try Workload(model: model, options: options, measuring: workload.loss)
    }

    /// Takes the calibration data's means into use.
    mutating func use(_ means: ValueMeans) { workload.use(means) }

    /// The number of samples.
    var samples: Int { workload.dataset.samples }

    mutating func measure(_ mask: Mask) async throws -> State {
        if let found = known[mask] { return found }
        let state = try await workload.measure(mask)
        known[mask] = state
        return state
    }

    /// The loss and accuracy of a mask.
    mutating func measured(_ mask: Mask) async throws -> Evaluation.Measured {
        Evaluation.Measured(try await measure(mask), labels: workload.countedLabels)
    }

    /// All that was measured, for a run's summary.
    var summary: HeldOutSummary {
        HeldOutSummary(
            data: data, samples: samples,
            measurements: known.mapValues {
                HeldOutSummary.Measurement($0, countedLabels: workload.countedLabels)
            })
    }
}
