/// The best trade-offs between what states cost and what they are worth.
package enum ParetoFront {
    /// Which values are better.
    package enum Preference: Sendable { case lowest, highest }

    /// The points that no other one beats: whatever costs as little is worth less. Of equal points the first counts.
    ///
    /// - Parameters:
    ///   - points: costs, of which less is better, and values; points with a number that is not finite are left out.
    ///   - preference: which values are better.
    /// - Returns: the points' indices, the most expensive first.
    package static func indices(of points: [(cost: Double, value: Double)], _ preference: Preference) -> [Int]
    {
        let sign: Double = preference == .lowest ? 1 : -1
        let order = points.indices
            .filter { points[$0].cost.isFinite && points[$0].value.isFinite }
            .sorted {
                (points[$0].cost, sign * points[$0].value, $0) < (
                    points[$1].cost, sign * points[$1].value, $1
                )
            }
        var front: [Int] = []
        var best = Double.infinity
        for index in order where sign * points[index].value < best {
            front.append(index)
            best = sign * points[index].value
        }
        return front.reversed()
    }
}
