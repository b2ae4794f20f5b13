internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Report
internal import Search

/// Measures masks on data that a search never sees, each once. What comes out never chooses anything.
struct HeldOut {
    /// The data as they were named.
    private let data: String
    private var workload: Workload
    private var known: [Variant: MeasuredState.Measurement] = [:]

    /// Loads the data, which is measured by the same loss as the search's.
    ///
    /// - Throws: what loading a workload throws, e.g. when the data lack labels that the loss needs.
    init(_ data: String, model: String, like workload: Workload) throws {
        var options = workload.options
        options.data = data
        options.samples = nil
        options.recovery = RecoveryOptions()
        self.data = data
        self.workload = try Workload(model: model, options: options, measuring: workload.loss)
        self.workload.recover(by: workload.options.recovery.recovery, on: workload.fit)
    }

    /// Gives the bytes of weights that a search's states have.
    var storedWeights: (WeightsID) throws -> [UInt8] {
        get { workload.storedWeights }
        set { workload.storedWeights = newValue }
    }

    /// A warning where layers are fitted on some of the data; `nil` where they are not.
    func overlapWarning() throws -> String? {
        guard let shared = try workload.fit?.count(in: workload.dataset), shared > 0 else { return nil }
        return
            "warning: layers are fitted on \(shared == 1 ? "1 sample that is" : "\(shared) samples that are") also among those of \(data)"
    }

    /// Takes the calibration data's means into use.
    mutating func use(_ means: ValueMeans) { workload.use(means) }

    /// What a variant's model gives on the data.
    mutating func measured(_ variant: Variant) async throws -> MeasuredState.Measurement {
        if let found = known[variant] { return found }
        let measurement = MeasuredState.Measurement(
            try await workload.measure(variant), countedLabels: workload.countedLabels)
        known[variant] = measurement
        return measurement
    }

    /// The data, as a run's summary names them.
    var summary: HeldOutData { HeldOutData(data: data, samples: workload.dataset.samples) }
}
