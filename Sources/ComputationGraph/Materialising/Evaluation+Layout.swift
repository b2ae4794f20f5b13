internal import ONNX

extension Evaluation {
    /// Operators that move elements without changing them.
    func layout() throws -> Constant? {
        if vertex.operation == "Concat" { return try concatenation() }
        guard let data = try constant(0) else { return nil }
        switch vertex.operation {
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze": return reshaped(data)
        case "Transpose":
            let permutation = try vertex.node.ints("perm", default: Array((0..<data.rank).reversed()))
            return permutation.sorted() == Array(0..<data.rank) ? data.transposed(permutation) : nil
        case "Slice": return try sliced(data)
        case "Gather": return try gathered(data)
        case "Expand": return data.withRank(outputRank)
        case "Tile", "GatherElements", "GatherND":
            return data.single.map { Constant(outputs[0].elementType, rank: outputRank, filledWith: $0) }
        case "Pad": return try padded(data)
        case "DepthToSpace", "SpaceToDepth": return data.single == nil ? nil : data
        case "CumSum", "Trilu": return data.isZero ? zero : nil
        default: return nil
        }
    }

    /// The parts of a constant that Split makes.
    func split() throws -> [Constant]? {
        guard let data = try constant(0) else { return nil }
        var axis = try vertex.node.int("axis", default: 0)
        if axis < 0 { axis += data.rank }
        var start = 0
        var parts: [Constant] = []
        for output in outputs {
            guard let extents = output.extents else { return nil }
            guard data.shape[axis] != 1 else {
                parts.append(data)
                continue
            }
            guard let length = extents[axis].fixed, start + length <= data.shape[axis] else { return nil }
            parts.append(data.selecting(Array(start..<start + length), axis: axis))
            start += length
        }
        return parts
    }

    /// The constant in output 0's shape, through the groups of axes that correspond.
    private func reshaped(_ data: Constant) -> Constant? {
        guard let before = inputs[0].extents, let after = outputs[0].extents,
            let groups = AxisGroup.groups(from: before, to: after)
        else { return nil }
        var source = data.shape
        var target = [Int](repeating: 1, count: after.count)
        for group in groups where !group.before.allSatisfy({ data.shape[$0] == 1 }) {
            for axis in group.before {
                guard let size = before[axis].fixed else { return nil }
                source[axis] = size
            }
            for axis in group.after {
                guard let size = after[axis].fixed else { return nil }
                target[axis] = size
            }
        }
        return data.expanded(to: source)?.reshaped(target)
    }

    private func concatenation() throws -> Constant? {
        var axis = try vertex.node.int("axis", default: 1)
        if axis < 0 { axis += outputRank }
        var parts: [(constant: Constant, length: Int)] = []
        for slot in inputs.indices {
            guard let part = try constant(slot) else { return nil }
            // Axes of unknown length can only be joined where all is the same number.
            parts.append((part, inputs[slot].extents?[axis].fixed ?? -1))
        }
        if parts.contains(where: { $0.length < 0 }) {
            guard let first = parts.first?.constant, first.shape[axis] == 1,
                parts.allSatisfy({ $0.constant == first })
            else { return nil }
            return first
        }
        return Constant.joined(parts, axis: axis)
    }

    private func sliced(_ data: Constant) throws -> Constant? {
        var starts: [Int]
        var ends: [Int]
        var axes: [Int]
        var steps: [Int]
        if vertex.version < 10 {
            starts = try vertex.node.ints("starts")
            ends = try vertex.node.ints("ends")
            axes = try vertex.node.ints("axes", default: Array(starts.indices))
            steps = starts.map { _ in 1 }
        } else {
            guard data.count > 1 else { return data }
            guard let first = try integers(1), let second = try integers(2) else { return nil }
            (starts, ends) = (first, second)
            axes = isPresent(3) ? try integers(3) ?? [] : Array(starts.indices)
            steps = isPresent(4) ? try integers(4) ?? [] : starts.map { _ in 1 }
        }
        guard starts.count == ends.count, axes.count == starts.count, steps.count == starts.count else {
            return nil
        }
        var result = data
        for (index, axis) in axes.enumerated() {
            let axis = axis < 0 ? axis + data.rank : axis
            let size = data.shape[axis]
            guard size != 1 else { continue }
            guard
                let positions = Self.positions(
                    from: starts[index], to: ends[index], by: steps[index], size: size)
            else { return nil }
            result = result.selecting(positions, axis: axis)
        }
        return result
    }

    /// The positions that Slice takes from an axis of `size`; `nil` for a step of 0.
    static func positions(from start: Int, to end: Int, by step: Int, size: Int) -> [Int]? {
        guard step != 0 else { return nil }
        func clamped(_ index: Int, _ low: Int, _ high: Int) -> Int {
            let index = index < 0 ? index &+ size : index
            return Swift.min(Swift.max(index, low), high)
        }
        if step > 0 {
            return Array(stride(from: clamped(start, 0, size), to: clamped(end, 0, size), by: step))
        }
        let last = end < -size ? -1 : clamped(end, -1, size - 1)
        return Array(stride(from: clamped(start, 0, size - 1), to: last, by: step))
    }

    private func gathered(_ data: Constant) throws -> Constant? {
        var axis = try vertex.node.int("axis", default: 0)
        if axis < 0 { axis += data.rank }
        let indexRank = outputRank - data.rank + 1
        guard indexRank >= 0 else { return nil }
        let around = (data.shape[..<axis], data.shape[(axis + 1)...])
        if data.shape[axis] == 1 {
            return data.reshaped(around.0 + [Int](repeating: 1, count: indexRank) + around.1)
        }
        guard isPresent(1), let indices = try integers(1), let shape = inputs[1].extents?.map(\.fixed) else {
            return nil
        }
        let positions = indices.map { $0 < 0 ? $0 + data.shape[axis] : $0 }
        guard positions.allSatisfy(data.shape[axis].indices.contains) else { return nil }
        return data.selecting(positions, axis: axis).reshaped(around.0 + shape.compactMap { $0 } + around.1)
    }

    /// Padding with the number that all elements are, or with nothing.
    private func padded(_ data: Constant) throws -> Constant? {
        let pads = vertex.version < 11 ? try vertex.node.ints("pads") : try integers(1)
        if let pads, pads.allSatisfy({ $0 == 0 }) { return data }
        guard let number = data.single else { return nil }
        guard try vertex.node.string("mode", default: "constant") == "constant" else { return data }
        let filling: Double? =
            vertex.version < 11
            ? try Double(vertex.node.float("value", default: 0)) : isPresent(2) ? try constant(2)?.single : 0
        return filling == number ? data : nil
    }
}

extension Int {
    /// The positions along an axis of this size.
    fileprivate var indices: Range<Int> { 0..<self }
}

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
