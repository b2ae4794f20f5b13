internal import BitCollections
package import ONNX
internal import Synchronization

/// An axis of a value.
public struct ValueAxis: Hashable, Comparable, Sendable {
    /// The value's index.
    public let value: Int
    /// The axis, counted from the first.
    public let axis: Int

    /// By value, then axis.
    public static func < (left: ValueAxis, right: ValueAxis) -> Bool {
        (left.value, left.axis) < (right.value, right.axis)
    }
}

/// What goes when some positions along an axis go: positions along every axis that is coupled to it.
struct Closure: Sendable {
    /// By axis, the positions that go.
    var gone: [ValueAxis: BitSet] = [:]
    /// By edge, the positions that its consumer sums over: there it reads zeros.
    var reads: [Edge: [Slice.Positions]] = [:]
    /// The vertices that compute or read something of what goes, ascending.
    var vertices: [Int] = []
    /// Whether a product of data with data has the axis on both sides without summing over it, as attention has its heads.
    var isBatched = false
    /// Whether a mean or a normalisation runs over the axis.
    var isAveraged = false
}

/// Why positions along an axis cannot go.
public enum SliceObstacle: Error, Hashable, Sendable {
    /// The operator of a vertex mixes positions along the axis.
    case mixed(vertex: Int)
    /// It is not known what the operator of a vertex does with the axis.
    case unknown(vertex: Int)
    /// A vertex sums over the axis where nothing depends on data.
    case summedWeights(vertex: Int)
    /// The axis is one of a model input.
    case input(value: Int)
    /// The axis is one of a model output.
    case output(value: Int)
    /// A subgraph reads the value.
    case captured(value: Int)
    /// Nothing would be left of an axis.
    case nothingLeft(value: Int)
    /// The shape of the value is not known, or it has no such axis or position.
    case noAxis(value: Int)

    /// One clause that names the node or value.
    public func reason(in graph: Graph) -> String {
        func node(_ vertex: Int) -> String {
            "'\(graph.vertices[vertex].name)' (\(graph.vertices[vertex].operation))"
        }
        func name(_ value: Int) -> String {
            "'\(graph.values[graph.coupling?.stored(value) ?? value].name)'"
        }
        return switch self {
        case .mixed(let vertex): "\(node(vertex)) mixes them: without some, what is left would change"
        case .unknown(let vertex): "it is not known what \(node(vertex)) does with them"
        case .summedWeights(let vertex): "\(node(vertex)) sums over them where only weights are computed"
        case .input(let value): "they are sizes of the model input \(name(value))"
        case .output(let value): "they are sizes of the model output \(name(value))"
        case .captured(let value): "a subgraph reads \(name(value))"
        case .nothingLeft(let value): "nothing would be left of \(name(value))"
        case .noAxis(let value): "\(name(value)) has no such positions"
        }
    }
}

/// Which positions along the axes of a graph's values are coupled: an index is followed through every operator's axis map, in
/// both directions, to all that has to go with it.
///
/// DepGraph (Fang and others, 2023) groups the layers of a network so; here single positions are followed, through reshapes,
/// groups, concatenations and products of data with data too.
///
/// Exporters store equal tensors once, and layers that have nothing to do with each other read the same zeros as their biases.
/// So a vector that several slots read is as many vectors here, of which each may lose positions of its own: the values after
/// those of the graph.
final class Coupling: Sendable {
    let vertices: [Vertex]
    /// By vertex, what its slots read.
    let inputs: [[Int?]]
    let maps: [AxisMap?]
    let shapes: [[Int]?]
    let consumers: [[Edge]]
    let producers: [Int?]
    let dependsOnData: [Bool]
    /// Of each value after those of the graph, the vector that it is a copy of.
    private let copied: [Int]
    private let graphValues: Int
    /// By value, why none of its axes can lose a position.
    let fixed: [Int: SliceObstacle]
    private let computedWeights: ComputedWeights
    private let known = Mutex<[Slice: Result<Closure, SliceObstacle>]>([:])

    /// - Parameters:
    ///   - shapes: the shape of every value at the data's sizes, by value index.
    ///   - weight: computes weights that follow from stored ones.
    init(_ graph: Graph, shapes: [[Int]?], weight: ComputedWeights.Rule? = nil) {
        let shared = graph.values.indices.filter { graph.isSharedVector($0) }
        let edges = shared.flatMap { graph.consumers[$0] }
        copied = shared.flatMap { value in graph.consumers[value].map { _ in value } }
        graphValues = graph.values.count
        vertices = graph.vertices
        var (inputs, consumers) = (vertices.map(\.inputs), graph.consumers)
        for value in shared { consumers[value] = [] }
        for (copy, edge) in edges.enumerated() {
            inputs[edge.node][edge.slot] = graph.values.count + copy
        }
        self.inputs = inputs
        self.consumers = consumers + edges.map { [$0] }
        maps = graph.vertices.map { graph.axisMap(of: $0, shapes: shapes) }
        self.shapes = shapes + copied.map { shapes.indices.contains($0) ? shapes[$0] : nil }
        producers = graph.values.map(\.producer) + copied.map { _ in nil }
        dependsOnData = graph.values.map(\.dependsOnData) + copied.map { _ in false }
        var fixed: [Int: SliceObstacle] = [:]
        for vertex in graph.vertices {
            for value in vertex.captured { fixed[value] = .captured(value: value) }
        }
        for port in graph.inputs { fixed[port.value] = .input(value: port.value) }
        for port in graph.outputs { fixed[port.value] = .output(value: port.value) }
        self.fixed = fixed
        computedWeights = ComputedWeights(graph, weight)
    }

    /// Whether a vertex computes weights of weights.
    func computesWeights(_ vertex: Int) -> Bool { computedWeights.vertices.contains(vertex) }

    /// Whether an axis is one of a weight that is computed from others, and mixes theirs: positions along it go out of the
    /// computed weight, which is stored instead.
    func isCutOut(_ axis: ValueAxis) -> Bool {
        computedWeights.isCutOut(axis) { axis in
            for choice in CouplingWalk.Choice.all {
                var walk = CouplingWalk(self, choice: choice, staysInWeights: true)
                do {
                    try walk.remove([0], along: axis)
                    _ = try walk.closure()
                    return true
                } catch {
                    guard walk.hasChosen else { return false }
                }
            }
            return false
        }
    }

    /// The contents of a weight that is computed from others.
    ///
    /// - Parameter graph: the graph, or another version of its weights.
    func computedWeight(_ value: Int, of graph: Graph) throws -> TensorData? {
        try computedWeights.contents(of: value, in: graph)
    }

    /// The graph's value that a value is, or is a copy of.
    func stored(_ value: Int) -> Int { value < graphValues ? value : copied[value - graphValues] }

    /// The copies of a vector that several slots read.
    func copies(of value: Int) -> [Int] {
        copied.indices.filter { copied[$0] == value }.map { graphValues + $0 }
    }

    /// The length of an axis; `nil` where it is not known.
    func length(of axis: ValueAxis) -> Int? {
        guard shapes.indices.contains(axis.value), let shape = shapes[axis.value],
            shape.indices.contains(axis.axis)
        else { return nil }
        return shape[axis.axis]
    }

    /// What goes with some positions.
    ///
    /// Where an axis is divided into several (into groups and members, heads and their sizes), whole positions of the outermost
    /// go that can; of the next one where those cannot, at the first place where there is a choice, or everywhere.
    func closure(of axis: ValueAxis, _ positions: BitSet) throws(SliceObstacle) -> Closure {
        // Of several obstacles the one that was met last on the way tells most.
        var furthest: (obstacle: SliceObstacle, steps: Int)?
        for choice in CouplingWalk.Choice.all {
            var walk = CouplingWalk(self, choice: choice)
            do {
                try walk.remove(positions, along: axis)
                return try walk.closure()
            } catch {
                if furthest.map({ $0.steps < walk.steps }) ?? true { furthest = (error, walk.steps) }
                guard walk.hasChosen else { break }
            }
        }
        throw furthest?.obstacle ?? .noAxis(value: axis.value)
    }

    /// What goes with the slice that a unit is named by.
    func closure(of slice: Slice) throws(SliceObstacle) -> Closure {
        if let known = known.withLock({ $0[slice] }) { return try known.get() }
        let result = Result { () throws(SliceObstacle) in try walked(slice) }
        known.withLock { known in
            if known.count >= 1 << 16 { known.removeAll() }
            known[slice] = result
        }
        return try result.get()
    }

    private func walked(_ slice: Slice) throws(SliceObstacle) -> Closure {
        guard let positions = slice.positions, vertices.indices.contains(slice.edge.node),
            vertices[slice.edge.node].inputs.indices.contains(slice.edge.slot),
            let value = vertices[slice.edge.node].inputs[slice.edge.slot]
        else { throw SliceObstacle.noAxis(value: 0) }
        return try closure(
            of: ValueAxis(value: value, axis: positions.axis), BitSet(positions.ranges.joined()))
    }
}

/// Where what is known of a graph's coupling is kept: copies of the graph share it.
final class CouplingBox: Sendable {
    private let coupling = Mutex<Coupling?>(nil)

    func get() -> Coupling? { coupling.withLock { $0 } }
    func set(_ made: Coupling) { coupling.withLock { $0 = made } }
}

extension Graph {
    /// Whether a value is a stored vector of numbers that several slots read.
    fileprivate func isSharedVector(_ value: Int) -> Bool {
        guard consumers[value].count > 1, let constant = values[value].constant,
            constant.elementType.isFloatingPoint, !outputs.contains(where: { $0.value == value }),
            !vertices.contains(where: { $0.captured.contains(value) })
        else { return false }
        return constant.shape.count { $0 != 1 } == 1
    }

    /// Whether the sizes of the graph's values are known, so that slices can be followed.
    package var knowsSizes: Bool { couplingBox.get() != nil }

    /// The length of a value's axis; `nil` until sizes are known.
    package func size(of value: Int, axis: Int) -> Int? {
        coupling?.length(of: ValueAxis(value: value, axis: axis))
    }

    /// Lets slices be followed through the graph.
    ///
    /// - Parameters:
    ///   - shapes: the shape of every value for a single sample of the data, by value index.
    ///   - weight: computes weights that follow from stored ones; without it they are followed through all that computes them.
    package func useSizes(
        _ shapes: [[Int]?], weight: (@Sendable (Graph, Int) throws -> TensorData)? = nil
    ) {
        couplingBox.set(Coupling(self, shapes: shapes, weight: weight))
    }

    /// Which positions are coupled; `nil` until sizes are known.
    var coupling: Coupling? { couplingBox.get() }
}
