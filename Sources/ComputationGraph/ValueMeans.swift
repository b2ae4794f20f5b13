internal import BitCollections
internal import ONNX

/// The means of values over the calibration data: what removed slots may read.
public struct ValueMeans: Hashable, Sendable {
    /// A mean: a small tensor that stands for a value by broadcasting.
    public struct Mean: Hashable, Sendable {
        /// The shape of the value with a 1 along the samples, and along every axis whose size may vary.
        public let shape: [Int]
        /// In C order.
        public let elements: [Float]

        /// A mean of this shape.
        public init(shape: [Int], elements: [Float]) {
            self.shape = shape
            self.elements = elements
        }

        /// The mean without some positions along each of its axes; an axis of 1 stands for all of a value's.
        func without(_ lost: [BitSet]) -> Mean {
            var (shape, elements) = (self.shape, self.elements)
            for axis in shape.indices where shape[axis] > 1 && !lost[axis].isEmpty {
                let (length, inner) = (shape[axis], shape[(axis + 1)...].reduce(1, *))
                elements = elements.indices.filter { !lost[axis].contains($0 / inner % length) }.map {
                    elements[$0]
                }
                shape[axis] = length - lost[axis].count
            }
            return Mean(shape: shape, elements: elements)
        }
    }

    /// By value index.
    public let means: [Int: Mean]

    /// The means of some values.
    public init(_ means: [Int: Mean] = [:]) { self.means = means }

    /// A mean as a constant of the value's rank; zeros where it is not known yet, which is as good for costs as can be told.
    ///
    /// - Throws: `GraphError` for a mean that no constant of this rank can stand for.
    func constant(_ value: Int, _ type: ElementType, rank: Int?) throws(GraphError) -> Constant {
        guard let mean = means[value] else { return Constant(type, rank: rank ?? 0) }
        guard rank == nil || mean.shape.count == rank else {
            throw .notWritable(
                reason: "the mean of a value has the shape \(mean.shape), and the value \(rank ?? 0) axes")
        }
        return Constant(type, shape: mean.shape, mean.elements.map(Double.init))
    }
}
