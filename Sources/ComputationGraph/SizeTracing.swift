internal import ONNX

/// Which sizes may follow from input axes that no run has varied.
///
/// A size that looks fixed in every run may still follow from such an axis. Operators are followed axis by axis where
/// their rule for shapes is simple; a size that comes out of any other operator that has met such an axis is taken for
/// one that nothing is known of. What is `known` provably depends on no such axis.
struct SizeTracing {
    /// What is known of one size.
    enum Size: Hashable {
        /// It follows from varied axes and constants alone: runs tell.
        case known
        /// It may follow from an axis that was not varied. Sizes of the same number are the same.
        case open(Int)
        /// Among elements: the -1 of a Reshape.
        case rest
        /// Among elements: a written 0.
        case zero

        var isOpen: Bool { if case .open = self { true } else { false } }
    }

    private let graph: Graph
    private let shapes: [[Int]?]
    private var number = 0
    /// For every value, what is known of its sizes; `nil` where no run tells its rank.
    private(set) var sizes: [[Size]?]
    /// The elements of integer vectors that hold sizes.
    private var elements: [[Size]?]
    /// Whether a value's elements may follow from an open size in ways that are not followed.
    private var isTainted: [Bool]

    /// Follows the axes `open` through `graph`.
    ///
    /// - Parameters:
    ///   - shapes: the shape of every value in one run, by value index.
    ///   - open: for every axis that was not varied, a number that axes of the same size share.
    init(_ graph: Graph, shapes: [[Int]?], open: [SizeExpression.InputAxis: Int]) {
        self.graph = graph
        self.shapes = shapes
        number = (open.values.max() ?? -1) + 1
        sizes = shapes.map { $0.map { $0.map { _ in .known } } }
        elements = graph.values.map { _ in nil }
        isTainted = graph.values.map { _ in false }
        for (input, port) in graph.inputs.enumerated() {
            sizes[port.value] = sizes[port.value]?.indices.map { axis in
                open[.init(input: input, axis: axis)].map { .open($0) } ?? .known
            }
        }
        for index in graph.order { trace(graph.vertices[index]) }
    }

    private mutating func newSize() -> Size {
        number += 1
        return .open(number)
    }

    /// A size for each axis of a value, none of them known.
    private mutating func allOpen(_ value: Int) -> [Size]? {
        guard let rank = shapes[value]?.count else { return nil }
        var result: [Size] = []
        for _ in 0..<rank { result.append(newSize()) }
        return result
    }

    private mutating func trace(_ vertex: Vertex) {
        let reads = vertex.inputs.compactMap { $0 } + vertex.captured
        let meetsOpenAxis = reads.contains { sizes[$0]?.contains(where: \.isOpen) ?? false }
        let meetsOpenElement = reads.contains {
            isTainted[$0] || elements[$0]?.contains(where: \.isOpen) ?? false
        }
        guard meetsOpenAxis || meetsOpenElement else { return }
        for (position, output) in vertex.outputs.enumerated() {
            guard let output else { continue }
            let rank = shapes[output]?.count
            let found =
                vertex.captured.isEmpty ? outputSizes(vertex, position: position, output: output) : nil
            sizes[output] = found.flatMap { $0.count == rank ? $0 : nil } ?? allOpen(output)
            elements[output] = vertex.captured.isEmpty && position == 0 ? outputElements(vertex) : nil
            isTainted[output] = elements[output] == nil && !graph.values[output].dependsOnData
        }
    }

    /// The sizes of an input's axes.
    private func input(_ vertex: Vertex, _ slot: Int) -> [Size]? {
        value(vertex, slot).flatMap { sizes[$0] }
    }

    private func value(_ vertex: Vertex, _ slot: Int) -> Int? {
        vertex.inputs.indices.contains(slot) ? vertex.inputs[slot] : nil
    }

    /// The whole numbers of an input that the file holds.
    private func numbers(_ vertex: Vertex, _ slot: Int) -> [Int]? {
        guard let value = value(vertex, slot), let data = try? graph.constantData(value) else { return nil }
        return (try? data.int64s).map { $0.map(Int.init) }
    }

    /// The axes that attribute or input `axes` names; `nil` when not known.
    private func axes(_ vertex: Vertex, rank: Int) -> [Int]? {
        let found = (try? vertex.node.ints("axes", default: nil)) ?? numbers(vertex, 1)
        return found.map { $0.map { $0 < 0 ? $0 + rank : $0 } }
    }

    private func int(_ vertex: Vertex, _ name: String, _ fallback: Int) -> Int {
        (try? vertex.node.int(name, default: nil)) ?? fallback
    }

    /// The elements of an operand that gives sizes, one by one; `nil` when they may be anything.
    private func given(_ vertex: Vertex, _ slot: Int) -> [Size]? {
        guard let value = value(vertex, slot) else { return nil }
        if let elements = elements[value] { return elements }
        if let numbers = numbers(vertex, slot) {
            return numbers.map { $0 == -1 ? .rest : $0 == 0 ? .zero : .known }
        }
        guard !isTainted[value], !graph.values[value].dependsOnData, let shape = shapes[value] else {
            return nil
        }
        return [Size](repeating: .known, count: shape.reduce(1, *))
    }

    /// The size that an axis has when sizes are broadcast; `isFixed` tells which are a fixed number other than 1.
    private mutating func joined(_ sizes: [(size: Size, isOne: Bool, isFixed: Bool)]) -> Size {
        if sizes.contains(where: { $0.size == .known && $0.isFixed }) { return .known }
        let others = sizes.filter { !($0.size == .known && $0.isOne) }
        guard let first = others.first else { return .known }
        return others.allSatisfy { $0.size == first.size } ? first.size : newSize()
    }

    /// The sizes to which the operands broadcast, but for their last `suffix` axes.
    private mutating func broadcast(_ vertex: Vertex, dropping suffix: Int = 0) -> [Size]? {
        var operands: [(sizes: [Size], shape: [Int], isStored: Bool)] = []
        for value in vertex.inputs.compactMap({ $0 }) {
            guard let sizes = sizes[value], let shape = shapes[value], sizes.count >= suffix else {
                return nil
            }
            operands.append(
                (Array(sizes.dropLast(suffix)), shape.dropLast(suffix), graph.values[value].constant != nil))
        }
        let rank = operands.map(\.sizes.count).max() ?? 0
        var axes = [[(size: Size, isOne: Bool, isFixed: Bool)]](repeating: [], count: rank)
        for operand in operands {
            for (axis, size) in operand.sizes.enumerated() {
                let length = operand.shape[axis]
                axes[axis + rank - operand.sizes.count].append(
                    (size, length == 1 && operand.isStored, length != 1 && operand.isStored))
            }
        }
        return axes.map { joined($0) }
    }

    private mutating func outputSizes(_ vertex: Vertex, position: Int, output: Int) -> [Size]? {
        let first = input(vertex, 0)
        if Rewriter.broadcasting.contains(vertex.operation) { return broadcast(vertex) }
        switch vertex.operation {
        case "Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu", "Mish", "HardSwish", "HardSigmoid",
            "Sigmoid",
            "Softplus", "Softsign", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Clip",
            "Cast",
            "Identity", "Dropout", "Not", "IsNaN", "Sign", "Floor", "Ceil", "Round", "Sin", "Cos", "Softmax",
            "LogSoftmax", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "CumSum",
            "Trilu",
            "LayerNormalization", "ThresholdedRelu", "LRN", "ScatterND":
            return position == 0 || vertex.operation == "Dropout" ? first : nil
        case "MatMul":
            guard let left = first, let right = input(vertex, 1), left.count >= 2, right.count >= 2,
                let outer = broadcast(vertex, dropping: 2)
            else { return nil }
            return outer + [left[left.count - 2], right[right.count - 1]]
        case "Gemm":
            guard let left = first, let right = input(vertex, 1), left.count == 2, right.count == 2 else {
                return nil
            }
            return [
                left[int(vertex, "transA", 0) == 0 ? 0 : 1], right[int(vertex, "transB", 0) == 0 ? 1 : 0],
            ]
        case "Conv", "ConvTranspose":
            guard let first, first.count >= 2, !(input(vertex, 1)?.contains(where: \.isOpen) ?? true) else {
                return nil
            }
            return [first[0], .known] + opened(first.dropFirst(2))
        case "MaxPool", "AveragePool", "LpPool":
            guard let first, first.count >= 2 else { return nil }
            return first.prefix(2) + opened(first.dropFirst(2))
        case "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool":
            return first.map { $0.prefix(2) + $0.dropFirst(2).map { _ in .known } }
        case "Transpose":
            guard let first else { return nil }
            let order = (try? vertex.node.ints("perm", default: nil)) ?? first.indices.reversed()
            return order.sorted() == Array(first.indices) ? order.map { first[$0] } : nil
        case "Shape": return [.known]
        case "Size": return []
        case "Reshape": return first.flatMap { reshaped($0, vertex) }
        case "Unsqueeze":
            guard let first, let axes = axes(vertex, rank: shapes[output]?.count ?? 0) else { return nil }
            var rest = first.makeIterator()
            return (0..<first.count + axes.count).map { axes.contains($0) ? .known : rest.next() ?? .known }
        case "Squeeze":
            guard let first, let axes = axes(vertex, rank: first.count) else { return nil }
            return first.indices.filter { !axes.contains($0) }.map { first[$0] }
        case "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare",
            "ReduceProd", "ReduceLogSum", "ReduceLogSumExp":
            guard let first, let axes = axes(vertex, rank: first.count) else { return nil }
            let keeps = int(vertex, "keepdims", 1) != 0
            return first.indices.filter { keeps || !axes.contains($0) }.map {
                axes.contains($0) ? .known : first[$0]
            }
        case "Gather":
            guard let first, let indices = input(vertex, 1), !first.isEmpty else { return nil }
            let axis = int(vertex, "axis", 0)
            let own = axis < 0 ? axis + first.count : axis
            guard first.indices.contains(own) else { return nil }
            return first[..<own] + indices + first[(own + 1)...]
        case "Concat":
            guard let first else { return nil }
            let axis = int(vertex, "axis", 1)
            let own = axis < 0 ? axis + first.count : axis
            let all = vertex.inputs.indices.compactMap { input(vertex, $0) }
            guard all.count == vertex.inputs.count, all.allSatisfy({ $0.count == first.count }) else {
                return nil
            }
            return first.indices.map { place in
                let met = all.map { $0[place] }
                // Operands agree off the axis, so any of them that is known tells.
                if place != own { return met.contains(.known) ? .known : met[0] }
                return met.contains(where: \.isOpen) ? newSize() : .known
            }
        case "Split", "Slice":
            guard let first else { return nil }
            if vertex.operation == "Split" {
                let axis = int(vertex, "axis", 0)
                let own = axis < 0 ? axis + first.count : axis
                return first.indices.map { $0 == own && first[$0].isOpen ? newSize() : first[$0] }
            }
            let isStored =
                vertex.version < 10 || (1..<vertex.inputs.count).allSatisfy { numbers(vertex, $0) != nil }
            guard isStored else { return nil }
            let named =
                vertex.version < 10
                ? try? vertex.node.ints("axes", default: nil) : numbers(vertex, 3) ?? Array(first.indices)
            guard let named else { return nil }
            let axes = named.map { $0 < 0 ? $0 + first.count : $0 }
            return first.indices.map { axes.contains($0) && first[$0].isOpen ? newSize() : first[$0] }
        case "Expand":
            guard let first, let target = given(vertex, 1) else { return nil }
            let wanted = numbers(vertex, 1) ?? target.map { _ in 0 }
            let rank = max(first.count, target.count)
            return (0..<rank).map { axis in
                var met: [(size: Size, isOne: Bool, isFixed: Bool)] = []
                let (own, other) = (axis - (rank - first.count), axis - (rank - target.count))
                if own >= 0 { met.append((first[own], false, false)) }
                if other >= 0 { met.append((target[other], wanted[other] == 1, wanted[other] > 1)) }
                return joined(met)
            }
        case "ConstantOfShape": return given(vertex, 0).map { $0.map { $0.isOpen ? $0 : .known } }
        default: return nil
        }
    }

    private mutating func opened(_ sizes: ArraySlice<Size>) -> [Size] {
        sizes.map { $0.isOpen ? newSize() : .known }
    }

    /// Reshape: what is written down is certain, the rest is what the input leaves.
    private mutating func reshaped(_ input: [Size], _ vertex: Vertex) -> [Size]? {
        guard let target = given(vertex, 1) else { return nil }
        let copies = int(vertex, "allowzero", 0) == 0
        var result: [Size] = []
        for (axis, size) in target.enumerated() {
            switch size {
            case .zero: result.append(copies && input.indices.contains(axis) ? input[axis] : .known)
            default: result.append(size)
            }
        }
        guard let inferred = result.firstIndex(of: .rest) else { return result }
        var left = input.filter(\.isOpen)
        var isMatched = true
        for size in result where size.isOpen {
            if let place = left.firstIndex(of: size) { left.remove(at: place) } else { isMatched = false }
        }
        result[inferred] = isMatched && left.isEmpty ? .known : newSize()
        return result
    }

    /// The elements of integer vectors that are made of sizes.
    private mutating func outputElements(_ vertex: Vertex) -> [Size]? {
        switch vertex.operation {
        case "Shape":
            guard let sizes = input(vertex, 0) else { return nil }
            func clamped(_ index: Int) -> Int {
                min(max(index < 0 ? index + sizes.count : index, 0), sizes.count)
            }
            let start = clamped(int(vertex, "start", 0))
            return Array(sizes[start..<max(start, clamped(int(vertex, "end", sizes.count)))])
        case "Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape": return given(vertex, 0)
        case "Gather":
            guard let data = given(vertex, 0), value(vertex, 0).flatMap({ shapes[$0]?.count }) == 1,
                let indices = numbers(vertex, 1)
            else { return nil }
            let places = indices.map { $0 < 0 ? $0 + data.count : $0 }
            return places.allSatisfy(data.indices.contains) ? places.map { data[$0] } : nil
        case "Concat":
            let parts = vertex.inputs.indices.map { given(vertex, $0) }
            guard !parts.contains(where: { $0 == nil }),
                vertex.inputs.allSatisfy({ $0.flatMap { shapes[$0]?.count } == 1 })
            else { return nil }
            return parts.flatMap { $0 ?? [] }
        case "Slice":
            guard let data = given(vertex, 0), value(vertex, 0).flatMap({ shapes[$0]?.count }) == 1,
                vertex.inputs.count <= 4 || numbers(vertex, 4) == [1],
                let start = numbers(vertex, 1)?.first, let end = numbers(vertex, 2)?.first,
                let positions = Evaluation.positions(from: start, to: end, by: 1, size: data.count)
            else { return nil }
            return positions.map { data[$0] }
        case "Add", "Sub", "Mul", "Div", "Max", "Min":
            let operands = vertex.inputs.indices.compactMap { given(vertex, $0) }
            guard operands.count == vertex.inputs.count, let count = operands.map(\.count).max() else {
                return nil
            }
            guard operands.allSatisfy({ $0.count == count || $0.count == 1 }) else { return nil }
            return (0..<count).map { index in
                operands.contains { $0[$0.count == 1 ? 0 : index].isOpen } ? newSize() : .known
            }
        default: return nil
        }
    }
}
