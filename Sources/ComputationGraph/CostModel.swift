internal import ONNX
internal import Synchronization

/// Counts the parameters and floating-point operations of masks.
///
/// A mask costs what the file costs that would be written for it: the same rewriting runs, but for the contents of
/// weights, and what is counted are the nodes and initialisers that it leaves. `inspect` counts a file's in the same way.
public final class CostModel: Sendable {
    private let graph: Graph
    /// Per vertex, operations for one sample.
    private let vertexOperations: [Int]
    private let tally: CostTally
    /// What masks are rewritten with; `nil` where no shapes are known that a file could be written from.
    private let drafting: Drafting?
    /// Assessments of single removals, which are asked for again and again.
    private let single = Mutex<[Unit: Assessment?]>([:])
    /// Costs of the model without some slices, for masks that go on from them.
    private let sliced = SlicedCosts()
    private let samples: Int
    /// The linear layers without a bias, which are given one when they are refitted; none where nothing is.
    private let biasless: [(layer: LinearMap, cost: Cost)]

    /// What a mask costs, and what it makes of the model's outputs.
    public struct Assessment: Sendable, Hashable {
        /// The cost of the file that would be written.
        public let cost: Cost
        /// The outputs that no input's elements reach any more, or of which a part has become constant, by name.
        public let constantOutputs: [String]
        /// Of layers with weights, products and pooling: indices of those that are gone from the file.
        public let removedLayers: [Int]
    }

    /// Rewriting without writing.
    private struct Drafting: Sendable {
        let shapes: ValueShapes
        let shared: SharedRewriting
        var means = ValueMeans()
    }

    /// The costs of files that are written with `shapes`.
    ///
    /// - Parameters:
    ///   - shapes: the shapes of all values in a few runs; the sizes of the first run are those that count.
    ///   - samples: the samples in the first run.
    ///   - addsBiases: whether layers behind cuts are refitted, and given a bias where they have none.
    public init(graph: Graph, shapes: ValueShapes, samples: Int, addsBiases: Bool = false) {
        self.graph = graph
        self.samples = samples
        let first = shapes.probes.first?.shapes ?? []
        tally = CostTally(graph, samples: samples)
        vertexOperations = tally.operations(of: graph, shapes: first)
        drafting = Drafting(shapes: shapes, shared: SharedRewriting(graph, shapes))
        biasless =
            addsBiases
            ? LinearMaps(of: graph).maps.filter { $0.bias == nil }.compactMap { layer in
                let shape = first.indices.contains(layer.output) ? first[layer.output] : nil
                return shape.flatMap { layer.biasCost($0, samples: samples) }.map { (layer, $0) }
            } : []
    }

    /// The costs of what a mask leaves live, where shapes are known of one run alone or not at all: of the whole model they
    /// are the file's; of a mask they miss what rewriting saves besides.
    ///
    /// - Parameters:
    ///   - shapes: the shape of every value, for a batch of `samples`.
    public init(graph: Graph, shapes: [[Int]?], samples: Int) {
        self.graph = graph
        self.samples = samples
        tally = CostTally(graph, samples: samples)
        vertexOperations = tally.operations(of: graph, shapes: shapes)
        drafting = nil
        biasless = []
    }

    /// The same model, now that the means are known that masks put in the place of values.
    public init(_ other: CostModel, means: ValueMeans) {
        (graph, samples) = (other.graph, other.samples)
        tally = other.tally
        vertexOperations = other.vertexOperations
        biasless = other.biasless
        var drafting = other.drafting
        drafting?.means = means
        self.drafting = drafting
    }

    /// Whether two values have the same shape at every size of the model, as far as runs tell.
    func haveEqualShapes(_ left: Int, _ right: Int) -> Bool {
        guard let shapes = drafting?.shapes, let one = shapes.extents(of: left) else { return false }
        return one == shapes.extents(of: right)
    }

    /// Operations of one vertex, for one sample.
    public func flops(of vertex: Int) -> Int { vertexOperations[vertex] }

    /// Parameters that a vertex reads; those shared with others count at each.
    public func parameters(of vertex: Int) -> Int {
        tally.parameters(of: graph.vertices[vertex].node).reduce(0) { $0 + $1.count }
    }

    /// The cost of the model with the edges of `mask` removed.
    public func cost(of mask: Mask) -> Cost { assessment(of: mask)?.cost ?? liveCost(of: mask) }

    /// What a mask costs and does; `nil` when no file can be written for it.
    public func assessment(of mask: Mask) -> Assessment? {
        guard !mask.isEmpty, let drafting else {
            return Assessment(cost: liveCost(of: mask), constantOutputs: [], removedLayers: [])
        }
        guard mask.count == 1, let unit = mask.units.first else { return assessed(mask, drafting) }
        if let known = single.withLock({ $0[unit] }) { return known }
        let found = assessed(mask, drafting)
        single.withLock { known in
            if known.count < CostModel.mostKept { known[unit] = .some(found) }
        }
        return found
    }

    /// Assessments that are kept: more than all but the largest models have candidates.
    private static let mostKept = 1 << 14

    private func assessed(_ mask: Mask, _ drafting: Drafting) -> Assessment? {
        guard mask.slices.isEmpty else { return slicedAssessment(of: mask, drafting) }
        return drafting.shared.withLock { originals, names in
            var rewriter = Rewriter(
                graph, mask, drafting.shapes, means: drafting.means, originals: originals, names: names,
                writesWeights: false)
            guard (try? rewriter.rewriteAll()) != nil else { return nil }
            var cleanup = Cleanup(rewriter)
            guard let draft = try? cleanup.draft() else { return nil }
            return Assessment(
                cost: withBiases(tally.cost(of: draft), under: mask), constantOutputs: draft.constantOutputs,
                removedLayers: graph.vertices.indices.filter {
                    graph.vertices[$0].facts.role.isLayer && !draft.vertices.contains($0)
                })
        }
    }

    /// Of a mask with slices: the model without them is written first, then what else is removed is from that.
    private func slicedAssessment(of mask: Mask, _ drafting: Drafting) -> Assessment? {
        guard (try? graph.requireCompatible(mask)) != nil else { return nil }
        let (slices, rest) = (Mask(mask.slices), mask.withoutSlices)
        func costs(_ smaller: SlicedGraph) -> CostModel {
            CostModel(
                CostModel(graph: smaller.graph, shapes: smaller.shapes(drafting.shapes), samples: samples),
                means: smaller.means(drafting.means))
        }
        let found =
            rest.isEmpty
            ? (try? SlicedGraph(graph, without: slices.units, keepsContents: false)).map(costs)
            : sliced.costs(without: slices) {
                (try? SlicedGraph(graph, without: slices.units)).map(costs)
            }
        guard let found, let assessment = found.assessment(of: rest) else { return nil }
        return Assessment(
            cost: withBiases(assessment.cost, under: mask, shapes: found.firstShapes),
            constantOutputs: assessment.constantOutputs, removedLayers: assessment.removedLayers)
    }

    /// By name, the shapes of the values that linear layers give, in the run that counts.
    private func firstShapes(_ name: String) -> [Int]? {
        guard let value = graph.valueIndex[name], let shapes = drafting?.shapes.probes.first?.shapes else {
            return nil
        }
        return shapes.indices.contains(value) ? shapes[value] : nil
    }

    /// A cost with the biases that refitted layers are given.
    ///
    /// - Parameter shapes: the shapes of values by name, where slices are gone.
    private func withBiases(_ cost: Cost, under mask: Mask, shapes: ((String) -> [Int]?)? = nil) -> Cost {
        guard !biasless.isEmpty else { return cost }
        let refitted = Set(graph.refitted(biasless.map(\.layer), under: mask).map(\.vertex))
        return biasless.filter { refitted.contains($0.layer.vertex) }.reduce(cost) { sum, added in
            let name = graph.values[added.layer.output].name
            let own = shapes.flatMap { $0(name) }.flatMap { added.layer.biasCost($0, samples: samples) }
            let bias = own ?? added.cost
            return Cost(parameters: sum.parameters + bias.parameters, flops: sum.flops + bias.flops)
        }
    }

    /// The cost of the vertices that still compute something that depends on the data and reaches an output.
    private func liveCost(of mask: Mask) -> Cost {
        let liveness = Liveness(of: graph, under: mask)
        var total = 0
        var counted: Set<String> = []
        var elements = 0
        for vertex in graph.vertices where liveness.isLive[vertex.index] {
            guard liveness.dependsOnData[vertex.index] || !dependedOnData(vertex) else { continue }
            total += vertexOperations[vertex.index]
            for parameter in tally.parameters(of: vertex.node)
            where counted.insert(parameter.name).inserted {
                elements += parameter.count
            }
        }
        return Cost(parameters: elements, flops: total)
    }

    /// Whether the vertex computes from data in the full model, and so can be folded once it does not.
    private func dependedOnData(_ vertex: Vertex) -> Bool {
        vertex.inputs.contains { $0.map { graph.values[$0].dependsOnData } ?? false }
    }
}

extension LinearMap {
    /// What a bias costs that is added to an output of this shape.
    fileprivate func biasCost(_ shape: [Int], samples: Int) -> Cost? {
        guard shape.count > channelAxisFromEnd else { return nil }
        return Cost(
            parameters: shape[shape.count - 1 - channelAxisFromEnd],
            flops: shape.reduce(1, *) / max(samples, 1))
    }
}

/// Cost models of a model without slices, the last few that were asked for.
private final class SlicedCosts: Sendable {
    private let known = Mutex<[(slices: Mask, costs: CostModel)]>([])

    func costs(without slices: Mask, make: () -> CostModel?) -> CostModel? {
        if let found = known.withLock({ $0.first { $0.slices == slices } }) { return found.costs }
        guard let made = make() else { return nil }
        known.withLock { known in
            if known.count >= 4 { known.removeFirst() }
            known.append((slices, made))
        }
        return made
    }
}

/// What rewritings of one graph share, one at a time.
///
/// The decoded constants grow as they are asked for and are the same whatever asks first, so results do not depend on
/// what was rewritten before.
private final class SharedRewriting: Sendable {
    private let originals: Mutex<OriginalConstants>
    private let names: UniqueNames

    init(_ graph: Graph, _ shapes: ValueShapes) {
        originals = Mutex(OriginalConstants(graph, shapes))
        names = UniqueNames(graph.model.model.graph)
    }

    func withLock<Result: Sendable>(_ body: (OriginalConstants, UniqueNames) -> Result) -> Result {
        originals.withLock { body($0, names) }
    }
}
