internal import ComputationGraph
internal import Torch

extension ValueSum {
    /// The sum of a value over the samples of a block.
    ///
    /// - Parameters:
    ///   - axis: the samples' dimension; `nil` where they share one.
    ///   - hasDynamicShape: whether the shape follows the elements of the data.
    /// - Throws: `TorchError`.
    init(of tensor: Tensor, samples: Int, axis: Int?, hasDynamicShape: Bool) throws {
        let wide = try tensor.converted(to: .float64)
        var count = samples
        let total: Tensor
        if hasDynamicShape {
            let kept = tensor.rank > 1 ? 1 : -1
            total = try wide.summed(over: (0..<tensor.rank).filter { $0 != kept }, keeping: true)
            count = kept < 0 ? tensor.count : tensor.shape[1] == 0 ? 0 : tensor.count / tensor.shape[1]
        } else if let axis {
            total = try wide.summed(over: [axis], keeping: true)
        } else if let first = tensor.shape.first, samples > 0, first % samples == 0 {
            let parts = try wide.reshaped([samples, first / samples] + tensor.shape.dropFirst())
            total = try parts.summed(over: [0])
        } else {
            // The same for all samples.
            total = try wide * Double(samples)
        }
        self.init(shape: total.shape, sums: try total.elements(as: Double.self), count: count)
    }
}
