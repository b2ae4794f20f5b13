/// Axes of one shape that together become axes of another, as a reshaping keeps the order of elements.
struct AxisGroup {
    let before: Range<Int>
    let after: Range<Int>

    /// The smallest groups; `nil` when the shapes have no common grouping.
    static func groups(from before: [Extent], to after: [Extent]) -> [AxisGroup]? {
        var groups: [AxisGroup] = []
        var (i, j) = (0, 0)
        while i < before.count || j < after.count {
            let (firstBefore, firstAfter) = (i, j)
            var left: [Int]?
            var right: [Int]?
            func product(_ sizes: [Int]?, _ extent: Extent) -> [Int] {
                sizes.map { zip($0, extent.sizes).map { $0 &* $1 } } ?? extent.sizes
            }
            if i < before.count {
                left = product(left, before[i])
                i += 1
            }
            if j < after.count {
                right = product(right, after[j])
                j += 1
            }
            while true {
                let ones = (left ?? right ?? []).map { _ in 1 }
                let (one, other) = (left ?? ones, right ?? ones)
                guard let difference = zip(one, other).first(where: { $0 != $1 }) else { break }
                if difference.0 < difference.1, i < before.count {
                    left = product(left, before[i])
                    i += 1
                } else if difference.0 > difference.1, j < after.count {
                    right = product(right, after[j])
                    j += 1
                } else {
                    return nil
                }
            }
            groups.append(AxisGroup(before: firstBefore..<i, after: firstAfter..<j))
        }
        return groups
    }
}
