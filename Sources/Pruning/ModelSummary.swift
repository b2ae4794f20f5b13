public import ComputationGraph
internal import Datasets
public import Engine
internal import ONNX

/// What `inspect` tells of a model.
public struct ModelSummary: Encodable, Sendable {
    /// One vertex, in the file's node order.
    public struct Node: Encodable, Sendable {
        /// The place in the file's node order.
        public let index: Int
        /// The name in the file.
        public let name: String
        /// The operator, e.g. `Conv`.
        public let `operator`: String
        /// Names of the tensors that it reads.
        public let inputs: [String]
        /// Names of the tensors that it writes.
        public let outputs: [String]
        /// Elements of the parameters that are read.
        public let parameters: Int
        /// Operations for one sample; `nil` when shapes are not known.
        public let flops: Int?
        /// The shape of the first output, for the shapes that were tried.
        public let outputShape: [Int]?
    }

    /// One candidate, with the edges that are equivalent to it.
    public struct Candidate: Encodable, Sendable {
        /// The consumer's index.
        public let node: Int
        /// The consumer's input slot.
        public let slot: Int
        /// The consumer's name.
        public let consumer: String
        /// The name of the tensor that the edge carries.
        public let tensor: String
        /// Edges whose removal computes the same, as `NODE:SLOT`.
        public let equivalents: [String]
        /// The module of what goes with it, in the exporter's words; `nil` where the file does not tell.
        public let block: String?
        /// What the file is smaller by; `nil` where none can be written.
        public let saves: Saving?
    }

    /// What a removal saves.
    public struct Saving: Encodable, Sendable {
        /// Elements of parameters.
        public let parameters: Int
        /// Operations for one sample; `nil` when shapes are not known.
        public let flops: Int?
    }

    /// Channels, heads or neurons of a layer that go the same way.
    public struct Group: Encodable, Sendable {
        /// What they are.
        public let kind: Unit.Kind
        /// The layers with weights whose output channels go together, by name; the first has the axis that units name.
        public let layers: [String]
        /// How many of them there are: heads count once each.
        public let count: Int
        /// The units that a search would try, in the order in which they may go, with what each saves alone.
        public let units: [GroupUnit]
    }

    /// One unit of a group.
    public struct GroupUnit: Encodable, Sendable {
        /// As `--remove` takes it.
        public let unit: String
        /// What the file is smaller by; `nil` where none can be written.
        public let saves: Saving?
        /// The L2 norm of all weights that go with it, those of the layers that read it too.
        public let magnitude: Double
    }

    /// A layer that keeps all of its channels.
    public struct FixedLayer: Encodable, Sendable {
        /// The layer's name.
        public let layer: String
        /// Why, as a clause.
        public let reason: String
    }

    /// A model input or output.
    public struct Tensor: Encodable, Sendable {
        /// The name in the file.
        public let name: String
        /// The element type.
        public let elementType: String
        /// The dimensions; symbolic ones by name, `?` where nothing is told.
        public let shape: [String]
        /// What an output's numbers are, as the graph tells it; `nil` for inputs and other types than floating point.
        public let form: OutputForm?
    }

    /// The model file.
    public let model: String
    /// The version of the ai.onnx operator set.
    public let operatorSet: Int
    /// The model's inputs.
    public let inputs: [Tensor]
    /// The model's outputs.
    public let outputs: [Tensor]
    /// How many nodes there are.
    public let vertices: Int
    /// How many input slots are filled.
    public let edges: Int
    /// Elements of all parameters.
    public let parameters: Int
    /// For one sample; `nil` when the model could not be run on made-up inputs.
    public let flops: Int?
    /// Why there is no FLOP count.
    public let flopsUnknownBecause: String?
    /// What would give one: options for this model's inputs, e.g. `--shape image=1x3x224x224`; `nil` where shapes help
    /// nothing.
    public let flopsHint: String?
    /// The shapes that the FLOPs are counted for where the model leaves sizes open, as options.
    public let assumedShapes: String?
    /// What stops the model from being run, and so pruned; empty when nothing does.
    public let unsupported: [UnsupportedOperator]
    /// Whether the file tells which modules its nodes were exported from.
    public let hasModuleNames: Bool
    /// The edges that a search would try; none where the model cannot be run.
    public let candidates: [Candidate]
    /// The channels, heads and neurons of layers; `nil` where nobody asked for them, or shapes are not known.
    public let groups: [Group]?
    /// The layers with weights that keep all of their channels, and why; `nil` as for `groups`.
    public let fixedLayers: [FixedLayer]?
    /// Every node, in the file's order.
    public let nodes: [Node]
    /// The parameters that training changes.
    public let trainable: [Trainable]

    /// A parameter that training changes.
    public struct Trainable: Encodable, Sendable {
        /// The name in the file.
        public let name: String
        /// The sizes.
        public let shape: [Int]
        /// Whether weight decay shrinks it.
        public let decays: Bool
        /// The first node that reads it, by name and operator.
        public let reader: String
    }

    /// What sizes that the model leaves open are taken for, until it runs.
    private static let triedSizes = [8, 32, 64, 224]

    /// Reads a model and tells what it consists of.
    ///
    /// - Parameters:
    ///   - selection: which candidates to list.
    ///   - shapes: shapes for inputs whose dimensions are symbolic, by name.
    ///   - units: which channels, heads and neurons to list, and in which chunks.
    public init(
        model argument: String, selection: CandidateSelection, shapes given: [String: [Int]] = [:],
        units: UnitSelection = UnitSelection()
    ) throws {
        let (graph, unsupported) = try ModelSource.examined(argument)
        for name in given.keys where !graph.inputs.contains(where: { $0.name == name }) {
            throw InputError("the model has no input '\(name)' to give a shape for")
        }
        var reason: String?
        var shapes: Network.Shapes?
        var isShapeProblem = false
        if unsupported.isEmpty {
            // Where sizes are open, some models run at multiples of their strides alone.
            let hasOpenSizes = graph.inputs.contains { port in
                given[port.name] == nil && port.shape.dropFirst().contains(nil)
            }
            for size in ModelSummary.triedSizes.prefix(hasOpenSizes ? .max : 1) where shapes == nil {
                do { shapes = try Network(graph).shapes(given: given, others: size) } catch {
                    let known = error as? EngineError
                    isShapeProblem = known?.isUnsupported != true
                    reason = reason ?? "\(error)"
                    // Larger sizes help neither where an operator is missing nor where the memory is.
                    if !isShapeProblem || known?.isOutOfMemory == true { break }
                }
            }
            if shapes != nil { (reason, isShapeProblem) = (nil, false) }
        } else {
            reason = "the model cannot be run"
        }
        let axes = try InputAxes(graph)
        let batch =
            zip(graph.inputs, shapes?.inputs ?? []).lazy.compactMap { port, shape in
                axes.declaredAxis(of: port).flatMap { shape.indices.contains($0) ? shape[$0] : nil }
            }.first ?? 1
        // One run's shapes: what a size follows from does not matter for what a removal saves at these sizes.
        let costs = CostModel(
            graph: graph,
            shapes: ValueShapes(probes: [
                .init(
                    inputShapes: shapes?.inputs ?? [],
                    shapes: shapes?.values ?? Array(repeating: nil, count: graph.values.count))
            ]), samples: batch)
        let found =
            try unsupported.isEmpty ? Candidates(of: graph, selection: selection, costs: costs) : nil
        if units.kinds.contains(where: \.isSliced), let shapes {
            graph.followSlices(at: shapes.values)
            let all = SliceGroups(of: graph)
            groups = try all.chunked(units, of: graph, selection).map { group, units in
                Group(group, units, graph, costs)
            }
            fixedLayers = all.obstacles.sorted { $0.key < $1.key }.map { vertex, obstacle in
                FixedLayer(layer: graph.vertices[vertex].name, reason: obstacle.reason(in: graph))
            }
        } else {
            (groups, fixedLayers) = (nil, nil)
        }
        hasModuleNames = graph.hasModuleNames
        let blocks = Dictionary(
            graph.blocks(among: found?.representatives ?? [], costs: costs).map { ($0.edge, $0) }
        ) { first, _ in first }
        let total = costs.cost(of: .empty)

        self.model = graph.model.path
        operatorSet = graph.model.operatorSet
        inputs = graph.inputs.map { Tensor($0) }
        outputs = graph.outputs.map { port in
            Tensor(
                port,
                form: port.elementType.isFloatingPoint ? TracedForm(of: port.value, in: graph).form : nil)
        }
        vertices = graph.vertices.count
        edges = graph.vertices.reduce(0) { $0 + $1.inputs.count { $0 != nil } }
        parameters = total.parameters
        flops = shapes == nil ? nil : total.flops
        flopsUnknownBecause = reason
        let open = graph.inputs.filter { port in
            given[port.name] == nil && (!port.hasShape || port.shape.dropFirst().contains(nil))
        }
        flopsHint =
            isShapeProblem
            ? ModelSummary.options(graph.inputs.filter(\.isOpen).map { ($0.name, $0.likelyShape) }) : nil
        assumedShapes = shapes.flatMap { shapes in
            ModelSummary.options(
                zip(graph.inputs, shapes.inputs).filter { port, _ in open.contains { $0.name == port.name } }
                    .map { ($0.name, $1) })
        }
        self.unsupported = unsupported
        let isSized = shapes != nil
        candidates = (found?.representatives ?? []).map { edge in
            let cost = costs.assessment(of: Mask([Unit(edge)]))?.cost
            return Candidate(
                node: edge.node, slot: edge.slot, consumer: graph.vertices[edge.node].name,
                tensor: graph.value(on: edge).map { graph.values[$0].name } ?? "",
                equivalents: (found?.equivalents[edge] ?? []).map(\.description),
                block: blocks[edge]?.name,
                saves: cost.map {
                    Saving(
                        parameters: total.parameters - $0.parameters,
                        flops: isSized ? total.flops - $0.flops : nil)
                })
        }
        trainable = ((try? graph.trainableParameters()) ?? []).map {
            Trainable(name: $0.name, shape: $0.shape, decays: $0.decays, reader: $0.reader)
        }
        nodes = graph.vertices.map { vertex in
            Node(
                index: vertex.index, name: vertex.name, operator: vertex.operation, inputs: vertex.node.input,
                outputs: vertex.node.output, parameters: costs.parameters(of: vertex.index),
                flops: shapes == nil ? nil : costs.flops(of: vertex.index),
                outputShape: vertex.outputs.first.flatMap { $0 }.flatMap { shapes?.values[$0] })
        }
    }
}

extension ModelSummary.Group {
    init(_ group: SliceGroup, _ units: [ComputationGraph.Unit], _ graph: Graph, _ costs: CostModel) {
        kind = group.kind
        layers = group.layers.map { graph.vertices[$0].name }
        count = group.atoms.count
        let whole = costs.cost(of: .empty)
        self.units = units.map { unit in
            let cost = costs.assessment(of: Mask([unit]))?.cost
            return ModelSummary.GroupUnit(
                unit: unit.description,
                saves: cost.map {
                    ModelSummary.Saving(
                        parameters: whole.parameters - $0.parameters, flops: whole.flops - $0.flops)
                }, magnitude: group.magnitude(of: unit))
        }
    }
}

extension ModelSummary {
    /// The error that every other command ends with; `nil` for a model that can be run.
    public var whyNotRunnable: EngineError? { unsupported.isEmpty ? nil : .cannotRun(model, unsupported) }

    /// Shapes as options of the command line; `nil` for none.
    private static func options(_ shapes: [(name: String, shape: [Int])]) -> String? {
        guard !shapes.isEmpty else { return nil }
        return shapes.map { "--shape \($0.name)=\($0.shape.map(String.init).joined(separator: "x"))" }
            .joined(separator: " ")
    }
}

extension Port {
    /// Whether a size of it is not declared.
    fileprivate var isOpen: Bool { !hasShape || shape.contains(nil) }

    /// An example: what is declared, and in place of what is not a size that such inputs often have.
    fileprivate var likelyShape: [Int] {
        guard hasShape else { return [1, 3, 224, 224] }
        // Images have four dimensions; what has fewer is mostly a sequence.
        let usual = shape.count == 4 ? 224 : shape.count == 5 ? 32 : 128
        let isChannels = { (place: Int) in place == 1 && self.shape.count >= 4 }
        return shape.enumerated().map { place, size in
            size ?? (place == 0 ? 1 : isChannels(place) ? 3 : usual)
        }
    }
}

extension ModelSummary.Tensor {
    init(_ port: Port, form: OutputForm? = nil) {
        self.form = form
        name = port.name
        elementType = port.elementType.name
        shape = zip(port.shape, port.symbols).map { size, symbol in size.map(String.init) ?? symbol ?? "?" }
    }
}
