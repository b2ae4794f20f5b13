internal import ComputationGraph
internal import Datasets
internal import Torch

/// Along which dimension the samples of a block lie, value by value.
///
/// Worked out from runs with different numbers of samples: the one dimension that is as long as the block, while all
/// others keep their sizes. Where exporters fold samples into another dimension (`[N · windows, …]`) there is none.
struct SampleAxes {
    private let axes: [Int?]

    /// - Throws: `EngineError` when the model does not run on the data.
    init(of network: Network, dataset: Dataset) throws {
        let probes = try network.batchShapes(for: dataset)
        // An input that tells how many samples a run is of, and where.
        let counting = network.graph.inputs.indices.lazy.compactMap { input -> (Int, Int)? in
            let axis = dataset.inputAxes[network.graph.inputs[input].name] ?? 0
            return axis < 0 ? nil : (input, axis)
        }.first
        guard let (input, axis) = counting, let first = probes.first,
            first.inputs[input].indices.contains(axis)
        else {
            axes = network.graph.values.map { _ in nil }
            return
        }
        let size = first.inputs[input][axis]
        // Two runs that differ in nothing but the number of samples; one where the model fixes it.
        let second = probes.count > 1 ? probes[1] : first
        let other = second.inputs[input][axis]
        axes = network.graph.values.indices.map { value in
            guard let left = first.values[value], let right = second.values[value], left.count == right.count
            else {
                return nil
            }
            let growing = left.indices.filter { left[$0] != right[$0] }
            if size != other {
                guard growing.count == 1, left[growing[0]] == size, right[growing[0]] == other else {
                    return nil
                }
                return growing[0]
            }
            return left.first == size ? 0 : nil
        }
    }

    /// The samples' dimension of a value; `nil` where they have none of their own.
    subscript(value: Int) -> Int? { axes[value] }

    /// A value as one row per sample, [N, …].
    ///
    /// Where the samples have no dimension of their own, they are taken to be folded into the first one, each one's
    /// parts together; a value that has not the same number of elements for each is a single row.
    func rows(of tensor: Tensor, value: Int, samples: Int) throws -> Tensor {
        if let axis = axes[value], axis > 0 {
            return try tensor.transposed(0, axis).reshaped([samples, -1])
        }
        return try tensor.reshaped([tensor.count % samples == 0 ? samples : 1, -1])
    }
}
