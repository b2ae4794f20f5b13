/// How alike two lists order the same things.
///
/// Both coefficients lie between −1 (reversed) and 1 (the same order) and allow for ties. Pairs with a value that is
/// no finite number are to be left out before.
public enum RankCorrelation {
    /// Spearman's ρ: Pearson's correlation of the ranks, ties given their mean rank (Spearman, "The proof and
    /// measurement of association between two things", 1904).
    ///
    /// - Parameters:
    ///   - left: finite values.
    ///   - right: as many.
    /// - Returns: `nil` for fewer than two pairs, or when either list is constant.
    public static func spearman(_ left: [Double], _ right: [Double]) -> Double? {
        precondition(left.count == right.count, "both lists have a value for each thing")
        let (a, b) = (ranks(left), ranks(right))
        let mean = Double(a.count + 1) / 2
        var (ab, aa, bb) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            ab += (x - mean) * (y - mean)
            aa += (x - mean) * (x - mean)
            bb += (y - mean) * (y - mean)
        }
        guard aa > 0, bb > 0 else { return nil }
        return ab / (aa * bb).squareRoot()
    }

    /// Kendall's τ-b: concordant minus discordant pairs, over the geometric mean of the pairs that are not tied in
    /// either list (Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945).
    ///
    /// - Returns: `nil` for fewer than two pairs, or when either list is constant.
    public static func kendall(_ left: [Double], _ right: [Double]) -> Double? {
        precondition(left.count == right.count, "both lists have a value for each thing")
        var (difference, untiedLeft, untiedRight) = (0, 0, 0)
        for i in left.indices {
            for j in left.indices.dropFirst(i + 1) {
                let (x, y) = (order(left[i], left[j]), order(right[i], right[j]))
                difference += x * y
                untiedLeft += x * x
                untiedRight += y * y
            }
        }
        guard untiedLeft > 0, untiedRight > 0 else { return nil }
        return Double(difference) / (Double(untiedLeft) * Double(untiedRight)).squareRoot()
    }

    /// The rank of every value, from 1; ties have the mean of the ranks that they take.
    public static func ranks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
        var ranks = [Double](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
            for place in start..<end { ranks[order[place]] = Double(start + 1 + end) / 2 }
            start = end
        }
        return ranks
    }

    private static func order(_ left: Double, _ right: Double) -> Int {
        left < right ? -1 : left > right ? 1 : 0
    }
}
