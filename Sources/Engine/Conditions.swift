internal import ComputationGraph
internal import ONNX
internal import Torch

/// Finds out which branch the If nodes of a model take, where that follows from constants and shapes.
///
/// Exporters write If where a shape decides: around a Squeeze, for example, which is only meant for a dimension of 1.
/// The nodes that a condition is computed from are run on zeros: once where all sizes are fixed, otherwise at several
/// sizes of the symbolic dimensions. Only a condition that is the same at all sizes at which the model can be computed
/// says which branch is taken; an `Assume` node then finds out when it is another at the data's sizes.
struct Conditions {
    /// The model, with the branches in the place of the If nodes that are known.
    private(set) var file: ModelFile
    /// Why the others are not, by the name of their first output.
    private(set) var reasons: [String: String] = [:]

    /// Resolves what can be, from the inputs on: what follows a branch is known only once that is.
    ///
    /// - Throws: `ModelError` for a branch that does not fit its node, `GraphError` for a graph that cannot be read.
    init(resolving file: ModelFile) throws {
        self.file = file
        guard file.model.graph.node.contains(where: { $0.isConditional }) else { return }
        // Every round takes one node at least, and those that are left are tried no more often than there are rounds.
        for _ in 0..<Conditions.mostRounds {
            let graph = try Graph(self.file, requiresInputs: false)
            var taken: [Int: Bool] = [:]
            for vertex in graph.vertices where vertex.node.isConditional {
                do { taken[vertex.index] = try condition(of: vertex, in: graph) } catch {
                    reasons[vertex.node.output.first ?? ""] = "\(error)"
                }
            }
            guard !taken.isEmpty else { return }
            self.file = try self.file.inliningBranches(taken)
        }
    }

    private static let mostRounds = 200

    /// Whether a condition holds.
    ///
    /// - Throws: `Unknown` when that is not known.
    private func condition(of vertex: Vertex, in graph: Graph) throws -> Bool {
        guard let value = vertex.inputs.first.flatMap({ $0 }) else {
            throw Unknown("its condition is missing")
        }
        if let constant = try graph.constantData(value) {
            guard let first = try constant.bools.first else { throw Unknown("its condition is empty") }
            return first
        }
        guard !graph.values[value].dependsOnData else {
            throw Unknown("its condition depends on the values of the inputs, or on another If")
        }
        let part = try part(of: graph, computing: value)
        var answers: [(holds: Bool, sizes: String)] = []
        var failure: String?
        for probe in Probe.all(of: part) {
            do {
                let network = try Network(part)
                let result = try network.outputs(of: probe.inputs(of: part), mask: .empty)
                guard let first = result.first, first.count == 1 else {
                    throw Unknown("its condition is not one truth value")
                }
                answers.append((try first.item(as: Bool.self), probe.description))
            } catch let error as Unknown { throw error } catch { failure = failure ?? "\(error)" }
        }
        guard let first = answers.first else {
            throw Unknown("its condition could not be computed: \(failure ?? "")")
        }
        if let other = answers.first(where: { $0.holds != first.holds }) {
            throw Unknown(
                "its condition is \(first.holds) with \(first.sizes), but \(other.holds) with \(other.sizes): export "
                    + "the model with that dimension fixed")
        }
        guard answers.count > 1 || Probe.all(of: part).count == 1 else {
            throw Unknown("its condition could be computed at one size alone: \(failure ?? "")")
        }
        return first.holds
    }

    /// The nodes that `value` is computed from, as a model of their own.
    private func part(of graph: Graph, computing value: Int) throws -> Graph {
        var (wanted, isWanted) = ([value], Set<Int>())
        var isRead: Set<Int> = [value]
        while let next = wanted.popLast() {
            guard let producer = graph.values[next].producer, isWanted.insert(producer).inserted else {
                continue
            }
            let vertex = graph.vertices[producer]
            guard Operators.builder(domain: vertex.node.domain, operation: vertex.operation) != nil else {
                throw Unknown("its condition follows from the operator \(vertex.node.qualifiedOperation)")
            }
            let reads = vertex.inputs.compactMap { $0 } + vertex.captured
            isRead.formUnion(reads)
            wanted += reads
        }
        var model = graph.model.model
        let names = Set(isRead.map { graph.values[$0].name })
        model.graph.node = graph.order.filter(isWanted.contains).map { graph.vertices[$0].node }
        model.graph.input.removeAll { !names.contains($0.name) }
        model.graph.initializer.removeAll { !names.contains($0.name) }
        var output = ValueInfoProto()
        output.name = graph.values[value].name
        output.type.tensorType.elemType = Int32(ElementType.bool.rawValue)
        model.graph.output = [output]
        return try Graph(ModelFile(unchecked: model, name: graph.model.path), requiresInputs: false)
    }

    /// Why a condition is not known.
    private struct Unknown: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }
}

/// Sizes for the symbolic dimensions of a model's inputs.
private struct Probe {
    private let size: (_ symbol: Int, _ isFirstAxis: Bool) -> Int
    let description: String

    /// The symbolic dimensions get one size after the other: all the same and all different, odd and even, and small
    /// and as large as images are. Where there are none, one probe says it all.
    static func all(of graph: Graph) -> [Probe] {
        guard graph.inputs.contains(where: { $0.shape.contains(nil) }) else {
            return [Probe(size: { _, _ in 1 }, description: "the declared sizes")]
        }
        let same = [1, 2, 5].map { size in
            Probe(size: { _, _ in size }, description: "symbolic sizes of \(size)")
        }
        let different = [(1, 7), (3, 32), (2, 64)].map { batch, step in
            Probe(
                size: { symbol, isFirstAxis in isFirstAxis ? batch : step * (symbol + 1) },
                description: "symbolic sizes of \(batch) and multiples of \(step)")
        }
        return same + different
    }

    /// Zeros of these sizes.
    func inputs(of graph: Graph) throws -> [Tensor] {
        var numbers: [String: Int] = [:]
        return try graph.inputs.map { port in
            guard let type = ScalarType(holding: port.elementType) else {
                throw EngineError.data(
                    "input '\(port.name)' has the unsupported type \(port.elementType.name)")
            }
            let shape = port.shape.indices.map { axis in
                if let fixed = port.shape[axis] { return fixed }
                let symbol = port.symbols[axis] ?? "\(port.name)[\(axis)]"
                let number = numbers[symbol] ?? numbers.count
                numbers[symbol] = number
                return size(number, axis == 0)
            }
            return try Tensor.filled(0, shape: shape, type: type)
        }
    }
}
