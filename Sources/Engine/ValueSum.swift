public import Datasets
internal import Torch

/// The sum of a value over the samples of a block, in double precision: sums of blocks add up to the mean over all data.
public struct ValueSum: Sendable, Hashable {
    /// The shape of the value with a 1 where the samples lie. Where samples share a dimension with something else, that of
    /// one sample's part; where the shape follows the data, one number per channel.
    public let shape: [Int]
    /// In C order.
    public private(set) var sums: [Double]
    /// What each of the sums was taken over: samples, or elements where the shape follows the data.
    public private(set) var count: Int

    /// A sum as it was sent or kept.
    public init(shape: [Int], sums: [Double], count: Int) {
        (self.shape, self.sums, self.count) = (shape, sums, count)
    }

    /// - Parameters:
    ///   - axis: the samples' dimension; `nil` where they share one.
    ///   - hasDynamicShape: whether the shape follows the elements of the data.
    init(of tensor: Tensor, samples: Int, axis: Int?, hasDynamicShape: Bool) throws {
        let wide = try tensor.converted(to: .float64)
        let total: Tensor
        if hasDynamicShape {
            let kept = tensor.rank > 1 ? 1 : -1
            total = try wide.summed(over: (0..<tensor.rank).filter { $0 != kept }, keeping: true)
            count = kept < 0 ? tensor.count : tensor.shape[1] == 0 ? 0 : tensor.count / tensor.shape[1]
        } else if let axis {
            total = try wide.summed(over: [axis], keeping: true)
            count = samples
        } else if let first = tensor.shape.first, samples > 0, first % samples == 0 {
            let parts = try wide.reshaped([samples, first / samples] + tensor.shape.dropFirst())
            total = try parts.summed(over: [0])
            count = samples
        } else {
            // The same for all samples.
            total = try wide * Double(samples)
            count = samples
        }
        shape = total.shape
        sums = try total.elements(as: Double.self)
    }

    /// Adds the sum over another block.
    public static func += (left: inout ValueSum, right: ValueSum) {
        for index in left.sums.indices { left.sums[index] += right.sums[index] }
        left.count += right.count
    }

    /// The mean, rounded once to single precision.
    public var mean: NumpyArray {
        get throws { try NumpyArray(shape: shape, values: sums.map { Float($0 / Double(max(count, 1))) }) }
    }
}
