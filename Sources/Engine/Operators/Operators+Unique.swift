internal import ONNX
internal import Torch

/// Repeated elements or slices found.
extension Operators {
    nonisolated(unsafe) static let uniqueness: OperatorFamily = ["Unique": unique]

    /// Outputs: the unique slices, the first place of each, for every slice its place among them, and their counts.
    private static func unique(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: nil)
        let isSorted = try context.flag("sorted", default: true)
        return { inputs in
            let input = try context.required(inputs, 0)
            let data = axis == nil ? try input.reshaped([input.count]) : input
            let axis = try context.axis(axis ?? 0, rank: data.rank)
            guard data.rank > 0 else { throw context.error("a tensor without dimensions has no slices") }
            let order = [axis] + data.shape.indices.filter { $0 != axis }
            let rows = try data.permuted(order).reshaped([
                data.shape[axis], data.count / max(data.shape[axis], 1),
            ])
            let groups =
                rows.scalarType.isFloatingPoint
                ? Groups(of: try rows.elements(as: Double.self), rows: rows.shape[0], isSorted: isSorted)
                : Groups(of: try rows.elements(as: Int.self), rows: rows.shape[0], isSorted: isSorted)
            let first = try Tensor(groups.first)
            return [
                try data.gathering(axis, first), first, try Tensor(groups.group), try Tensor(groups.counts),
            ]
        }
    }
}

/// Equal rows of a matrix gathered into groups.
private struct Groups {
    /// For every group, its first row.
    private(set) var first: [Int] = []
    /// For every row, its group.
    private(set) var group: [Int]
    /// For every group, how many rows it has.
    private(set) var counts: [Int] = []

    /// Groups the rows of `elements`, in lexicographic order or in the order in which they first appear.
    init<Element: Comparable>(of elements: [Element], rows: Int, isSorted: Bool) {
        let width = elements.count / max(rows, 1)
        func row(_ index: Int) -> ArraySlice<Element> { elements[(index * width)..<((index + 1) * width)] }
        let sorted = (0..<rows).sorted { left, right in
            for column in 0..<width {
                let (first, second) = (elements[left * width + column], elements[right * width + column])
                if first != second { return first < second }
            }
            return left < right
        }
        group = [Int](repeating: 0, count: rows)
        for (position, index) in sorted.enumerated() {
            if position == 0 || row(sorted[position - 1]) != row(index) {
                first.append(index)
                counts.append(0)
            }
            group[index] = first.count - 1
            counts[first.count - 1] += 1
        }
        guard !isSorted else { return }
        let appearing = first.indices.sorted { first[$0] < first[$1] }
        var place = [Int](repeating: 0, count: first.count)
        for (position, old) in appearing.enumerated() { place[old] = position }
        group = group.map { place[$0] }
        counts = appearing.map { counts[$0] }
        first = appearing.map { first[$0] }
    }
}
