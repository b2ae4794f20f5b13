internal import ComputationGraph
internal import ONNX
internal import Torch

private let splitSizes = Operation("aten::split_with_sizes")

/// Parts of a tensor, and parts put together.
extension Operators {
    nonisolated(unsafe) static let slicing = OperatorFamily(
        [
            "Concat": { context in
                let axis = try context.node.int("axis")
                return { inputs in
                    let parts = try inputs.indices.map { try context.required(inputs, $0) }
                    guard let first = parts.first else { throw context.error("it has no inputs") }
                    let axis = try context.axis(axis, rank: first.rank)
                    return [try Tensor.concatenated(parts, along: axis)]
                }
            },
            "Slice": slice,
            "Split": split,
        ],
        traits: [
            "Concat": .init(since: 6)
        ],
        operands: [.alike(): ["Concat"]])

    private static func slice(_ context: OperatorContext) throws -> Kernel {
        let starts = try context.integers("starts", until: 10, in: 1)
        let ends = try context.integers("ends", until: 10, in: 2)
        let axes = try context.integers("axes", until: 10, in: 3)
        let steps = context.version < 10 ? { _ in nil } : try context.integers(in: 4)
        return { inputs in
            var result = try context.required(inputs, 0)
            guard let starts = try starts(inputs), let ends = try ends(inputs) else {
                throw context.error("starts or ends are missing")
            }
            let axes = try axes(inputs) ?? Array(starts.indices)
            let steps = try steps(inputs) ?? starts.map { _ in 1 }
            guard Set([starts.count, ends.count, axes.count, steps.count]).count == 1 else {
                throw context.error("starts, ends, axes and steps have different lengths")
            }
            for position in starts.indices {
                guard result.rank > 0 else {
                    throw context.error("a tensor without dimensions has no slices")
                }
                let axis = try context.axis(axes[position], rank: result.rank)
                guard steps[position] != 0 else {
                    throw context.error("the step along dimension \(axis) is 0")
                }
                result = try sliced(
                    result, axis, from: starts[position], to: ends[position], step: steps[position])
            }
            return [result]
        }
    }

    /// A slice by NumPy's rules: positions count from the end when negative and are cut off at the ends, and a
    /// negative step goes backwards.
    private static func sliced(
        _ input: Tensor, _ axis: Int, from start: Int, to end: Int, step: Int
    ) throws -> Tensor {
        let size = input.shape[axis]
        func position(_ given: Int, _ bounds: ClosedRange<Int>) -> Int {
            min(max(given < 0 ? given + size : given, bounds.lowerBound), bounds.upperBound)
        }
        if step > 0 {
            let (first, last) = (position(start, 0...size), position(end, 0...size))
            guard first > 0 || last < size || step > 1 else { return input }
            return try input.sliced(axis, first..<max(first, last), step: min(step, max(size, 1)))
        }
        guard size > 0 else { return input }
        // Backwards from `first` is forwards in the reversed tensor.
        let (first, last) = (position(start, 0...(size - 1)), position(end, -1...(size - 1)))
        let range = (size - 1 - first)..<max(size - 1 - first, size - 1 - last)
        return try input.flipped([axis]).sliced(axis, range, step: Int(min(step.magnitude, UInt(size))))
    }

    private static func split(_ context: OperatorContext) throws -> Kernel {
        let axis = try context.node.int("axis", default: 0)
        let given = try context.integers("split", until: 13, in: 1)
        let count = context.version < 18 ? nil : try context.node.int("num_outputs", default: nil)
        let outputs = context.vertex.outputs.count
        return { inputs in
            let input = try context.required(inputs, 0)
            let axis = try context.axis(axis, rank: input.rank)
            guard input.rank > 0 else { throw context.error("a tensor without dimensions cannot be split") }
            let size = input.shape[axis]
            let parts = count ?? outputs
            guard parts >= outputs, parts <= max(size, outputs) else {
                throw context.error("num_outputs is \(parts), but the node has \(outputs)")
            }
            let sizes = try given(inputs) ?? equalParts(of: size, parts)
            guard sizes.count >= outputs, sizes.allSatisfy({ (0...size).contains($0) }),
                sizes.reduce(0, +) == size
            else {
                throw context.error("\(size) elements of dimension \(axis) do not split into \(sizes)")
            }
            return try splitSizes.call([.tensor(input), .ints(sizes), .int(axis)], capacity: sizes.count)
        }
    }

    /// `count` parts of equal size, but for the last, which is smaller where the size does not divide.
    private static func equalParts(of size: Int, _ count: Int) -> [Int] {
        let part = (size + count - 1) / max(count, 1)
        return (0..<count).map { max(0, min(part, size - $0 * part)) }
    }
}
