/// The sum of a value over samples, in double precision: sums of blocks add up to the mean over all data.
public struct ValueSum: Hashable, Sendable {
    /// The shape of the value with a 1 where the samples lie. Where samples share a dimension with something else, that of
    /// one sample's part; where the shape follows the data, one number per channel.
    public let shape: [Int]
    /// In C order.
    public private(set) var sums: [Double]
    /// What each of the sums was taken over: samples, or elements where the shape follows the data.
    public private(set) var count: Int

    /// A sum over `count` samples or elements.
    public init(shape: [Int], sums: [Double], count: Int) {
        (self.shape, self.sums, self.count) = (shape, sums, count)
    }

    /// Adds the sum over other samples.
    ///
    /// - Precondition: the shapes are equal.
    public static func += (left: inout ValueSum, right: ValueSum) {
        precondition(left.shape == right.shape, "sums of the shapes \(left.shape) and \(right.shape)")
        for index in left.sums.indices { left.sums[index] += right.sums[index] }
        left.count += right.count
    }
}

extension [ValueSum] {
    /// Adds the sums of the same values over other samples; to none, all of them.
    ///
    /// - Precondition: the shapes are equal.
    public mutating func add(_ others: [ValueSum]) {
        guard !isEmpty else {
            self = others
            return
        }
        for (index, other) in zip(indices, others) { self[index] += other }
    }
}
