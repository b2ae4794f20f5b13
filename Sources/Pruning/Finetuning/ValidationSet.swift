internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Search

/// Measures weights in training on data that are not trained on.
struct ValidationSet {
    private let workload: Workload
    private let mask: Mask
    /// What losses are compared with that compare with another model; `nil` for the unpruned model.
    private let teacher: Network?

    /// Data of a model, measured by the training's loss.
    ///
    /// - Parameters:
    ///   - workload: the model and the data.
    ///   - mask: what is removed.
    init(_ workload: Workload, mask: Mask, teacher: Network?) {
        (self.workload, self.mask, self.teacher) = (workload, mask, teacher)
    }

    /// How many samples there are.
    var samples: Int { workload.dataset.samples }

    /// A sentence about samples that are trained on too; `nil` where none is.
    func overlap(with training: Dataset) throws -> String? {
        let shared = try workload.dataset.count(sharedWith: training)
        guard shared > 0 else { return nil }
        return
            "\(shared) of the \(samples) validation samples are trained on: what is measured on them says little of other "
            + "data"
    }

    /// The loss, and the share of labels that are predicted right.
    ///
    /// - Parameter parameters: by value, the elements of those that are others than the file's.
    func measured(_ parameters: [Int: [Float]]) throws -> (loss: Double, accuracy: Double?) {
        let changed = parameters.sorted { $0.key < $1.key }
        let evaluator = try workload.evaluator(
            with: workload.network.parameters(changed.map(\.key), changed.flatMap(\.value)))
        if let teacher { try evaluator.compare(with: teacher) }
        var (loss, weight, correct) = (0.0, 0.0, 0)
        for samples in BlockList(naturalOrder: workload.division).samples {
            let scores = try evaluator.evaluate(
                state: mask, samples: samples, expansions: [nil], reuseHints: [], stage: 0)[0]
            for (sample, own) in zip(samples, scores.losses) {
                loss += Double(workload.division.weights[sample]) * Double(own)
                weight += Double(workload.division.weights[sample])
            }
            correct += scores.correct.reduce(0) { $0 + Int($1) }
        }
        return (loss / weight, workload.countedLabels.map { Double(correct) / Double($0.total) })
    }
}
