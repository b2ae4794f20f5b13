import FoundationEssentials
internal import ONNX

/// Makes a model of what a rewriting has emitted: without nodes and initialisers that nothing reads, without the
/// Identity nodes that only rename.
struct Cleanup {
    private var rewriter: Rewriter
    private let graph: Graph

    init(_ rewriter: Rewriter) {
        self.rewriter = rewriter
        graph = rewriter.graph
    }

    /// The finished model.
    mutating func model() throws -> ModelProto {
        try finishNodes()
        nameOutputs()
        return try assembled()
    }

    /// What the finished model would consist of.
    mutating func draft() throws -> Draft {
        try finishNodes()
        let vertices = Set(rewriter.nodes.compactMap { $0.output.first.flatMap { rewriter.origins[$0] } })
        nameOutputs()
        return Draft(
            nodes: rewriter.nodes,
            initializers: Dictionary(rewriter.initializers.map { ($0.name, $0.tensor) }) { first, _ in first
            },
            sizes: rewriter.forms.sizes, vertices: vertices, constantOutputs: constantOutputs())
    }

    private mutating func finishNodes() throws {
        try replaceWeakShapes()
        rewriter.nodes = live(rewriter.nodes, countingShapes: true).nodes
        try shareSlicedWeights()
    }

    /// The outputs that depended on the elements of an input and do so no more, or of which a part is constant now.
    private func constantOutputs() -> [String] {
        var reached = Set(graph.inputs.map(\.name))
        var zeros = Set(
            rewriter.initializers.filter { $0.data?.bytes.allSatisfy { $0 == 0 } ?? false }.map(\.name))
        for node in rewriter.nodes where !node.facts.readsOnlyShape {
            // What is written may not rest on it, for 0/0 is no number; but no input is told by it.
            if node.facts.zeroOutput.holds(node.input.map(zeros.contains)) {
                zeros.formUnion(node.output)
                continue
            }
            if node.readNames.contains(where: reached.contains) { reached.formUnion(node.output) }
        }
        return graph.outputs.filter { output in
            guard graph.values[output.value].dependsOnData else { return false }
            if case .partial? = rewriter.forms[output.value] { return true }
            return !reached.contains(output.name)
        }.map(\.name)
    }

    /// The nodes that outputs need, and the names that those read.
    ///
    /// - Parameter countingShapes: whether a node that is read only for its shape counts as needed.
    private func live(_ nodes: [NodeProto], countingShapes: Bool) -> (nodes: [NodeProto], read: Set<String>) {
        var read = Set(graph.outputs.map(\.name))
        var kept: [NodeProto] = []
        for node in nodes.reversed() where node.output.contains(where: { read.contains($0) }) {
            kept.append(node)
            if node.facts.listsSizes, !countingShapes { continue }
            read.formUnion(node.readNames)
        }
        read.remove("")
        return (kept.reversed(), read)
    }

    /// Works sizes out from the inputs, or from tensors that are there, where a vertex would stay in the model for its
    /// shape alone.
    private mutating func replaceWeakShapes() throws {
        // Most models ask for no sizes, and most masks leave none behind.
        guard rewriter.nodes.contains(where: \.facts.listsSizes) else { return }
        let (needed, read) = live(rewriter.nodes, countingShapes: false)
        let produced = Set(rewriter.nodes.flatMap(\.output))
        let old = rewriter.nodes
        rewriter.nodes = []
        var renamed: [String: String] = [:]
        let isNeeded = Set(needed.flatMap(\.output))
        // Only tensors that are computed anyway, and that stand before the shape: others may follow from it.
        rewriter.forgetSources()
        for var node in old {
            if node.facts.listsSizes, node.output.count == 1, isNeeded.contains(node.output[0]),
                let input = node.input.first,
                produced.contains(input), !read.contains(input), let value = rewriter.shapedValue(input),
                let extents = rewriter.extents(of: value)
            {
                let range = try rewriter.shapeRange(node, rank: extents.count)
                if try rewriter.canDerive(range, of: value) {
                    // Emitted before: sizes may stand further down in the old list than they are read now.
                    renamed[node.output[0]] = try rewriter.shapeTensor(
                        Array(extents[range]), of: value, from: range.lowerBound)
                    continue
                }
            }
            node.input = node.input.map { renamed[$0] ?? $0 }
            rewriter.nodes.append(node)
            for output in node.output where read.contains(output) { rewriter.registerSizes(ofTensor: output) }
        }
        rewriter.nodes = sorted(rewriter.nodes)
    }

    /// The nodes in an order where each comes after those it reads.
    private func sorted(_ nodes: [NodeProto]) -> [NodeProto] {
        var producer: [String: Int] = [:]
        for (index, node) in nodes.enumerated() { for output in node.output { producer[output] = index } }
        var isDone = [Bool](repeating: false, count: nodes.count)
        var order: [NodeProto] = []
        for start in nodes.indices where !isDone[start] {
            var stack = [start]
            while let index = stack.last {
                let reads = nodes[index].readNames.compactMap { producer[$0] }
                if let next = reads.first(where: { !isDone[$0] && $0 != index }) {
                    stack.append(next)
                } else {
                    stack.removeLast()
                    if !isDone[index] { order.append(nodes[index]) }
                    isDone[index] = true
                }
            }
        }
        return order
    }

    /// Lets slices be taken out of a weight when the model runs, where the weight is there as a whole too, or its slices
    /// together are larger than it is: tied weights stay tied.
    private mutating func shareSlicedWeights() throws {
        let read = Set(rewriter.nodes.flatMap(\.readNames))
        let sizes = Dictionary(
            rewriter.initializers.map { ($0.name, $0.tensor.shape.reduce(1, *)) },
            uniquingKeysWith: { first, _ in first })
        let slices = rewriter.caches.slices.filter { read.contains($0.value) }
        var replaced: [String: String] = [:]
        for (value, group) in Dictionary(grouping: slices, by: \.key.value).sorted(by: { $0.key < $1.key }) {
            guard let whole = graph.values[value].constant else { continue }
            let name = graph.values[value].name
            let total = Set(group.map(\.value)).reduce(0) { $0 + (sizes[$1] ?? 0) }
            guard total >= Self.smallestTied, read.contains(name) || total > whole.count else { continue }
            for (key, slice) in group.sorted(by: { $0.value < $1.value }) where replaced[slice] == nil {
                replaced[slice] = try rewriter.select(name, key.ranges, axis: key.axis)
            }
        }
        guard !replaced.isEmpty else { return }
        for index in rewriter.nodes.indices {
            rewriter.nodes[index].input = rewriter.nodes[index].input.map { replaced[$0] ?? $0 }
        }
        rewriter.nodes = sorted(rewriter.nodes)
    }

    /// Elements of a weight from which on it is worth a node.
    private static let smallestTied = 1024

    /// Lets the node that computes an output write it directly, where an Identity only renames it.
    private mutating func nameOutputs() {
        let outputs = Set(graph.outputs.map(\.name))
        let captured = Set(rewriter.nodes.flatMap { $0.subgraphs.flatMap(\.capturedNames) })
        var renamed: [String: String] = [:]
        let produced = Set(rewriter.nodes.flatMap(\.output))
        rewriter.nodes.removeAll { node in
            guard node.facts.renaming.isUnconditional, outputs.contains(node.output[0]),
                produced.contains(node.input[0]),
                !outputs.contains(node.input[0]), !captured.contains(node.input[0]),
                renamed[node.input[0]] == nil
            else { return false }
            renamed[node.input[0]] = node.output[0]
            return true
        }
        guard !renamed.isEmpty else { return }
        for index in rewriter.nodes.indices {
            rewriter.nodes[index].input = rewriter.nodes[index].input.map { renamed[$0] ?? $0 }
            rewriter.nodes[index].output = rewriter.nodes[index].output.map { renamed[$0] ?? $0 }
        }
    }

    /// The original model with the new nodes and the initialisers that they read.
    private func assembled() throws -> ModelProto {
        var model = graph.model.model
        let nodes = rewriter.nodes
        var read = Set(nodes.flatMap(\.readNames))
        read.formUnion(graph.outputs.map(\.name))
        let produced = Set(nodes.flatMap(\.output))
        let old = Set(model.graph.initializer.map(\.name))
        model.graph.node = nodes
        model.graph.initializer.removeAll { !read.contains($0.name) }
        model.graph.sparseInitializer.removeAll { !read.contains($0.values.name) }
        // An input whose default is gone would have to be given.
        model.graph.input.removeAll { old.contains($0.name) && !read.contains($0.name) }
        for (name, _, data) in rewriter.initializers where read.contains(name) {
            guard let data else { continue }
            model.graph.initializer.append(TensorProto(name: name, data))
            if model.irVersion < 4 {
                model.graph.input.append(ValueInfoProto(name: name, data.elementType, shape: data.shape))
            }
        }
        model.graph.valueInfo.removeAll { !produced.contains($0.name) || graph.valueIndex[$0.name] == nil }
        model.graph.quantizationAnnotation.removeAll {
            !read.contains($0.tensorName) && !produced.contains($0.tensorName)
        }
        return model
    }
}

/// A smaller model as far as costs need it: without the contents of weights.
struct Draft: Sendable {
    /// The nodes, each after those that it reads.
    let nodes: [NodeProto]
    /// Initialisers that the original has not.
    let initializers: [String: CostTally.StoredTensor]
    /// The sizes of tensors in the first run, by name.
    let sizes: [String: [Int]]
    /// The original's vertices that are left, be it only for a shape.
    let vertices: Set<Int>
    /// The outputs that depended on an input's elements and do so no more, or of which a part has become constant.
    let constantOutputs: [String]
}
