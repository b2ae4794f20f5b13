public import ComputationGraph
public import Datasets

extension Graph {
    /// The number of samples that the model was exported for; `nil` where any number will do.
    public func fixedSamples(_ dataset: Dataset) -> Int? { fixedSamples(axes: dataset.inputAxes) }

    /// - Parameter axes: the samples' dimension of inputs where it is not the first; −1 for one that all share.
    public func fixedSamples(axes: [String: Int]) -> Int? {
        inputs.lazy.compactMap { port in
            let axis = axes[port.name] ?? 0
            return port.shape.indices.contains(axis) ? port.shape[axis] : nil
        }.first
    }
}
