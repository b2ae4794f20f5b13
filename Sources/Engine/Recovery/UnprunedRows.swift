internal import ComputationGraph
internal import ONNX
internal import Torch

/// Which rows of the fit data each layer is fitted on, and what the unpruned model gives there.
///
/// Kept by row, not by value: a layer needs some rows for each of its features, which is little of what its output holds.
final class UnprunedRows {
    /// By vertex: the linear layers that can be refitted, and the normalisations.
    let layers: [Int: LinearRows]
    let normalisations: [Int: NormalisationLayer]
    /// By vertex of a linear layer, what it is fitted to.
    let targets: [Int: FitTarget]
    /// By vertex, block by block.
    let selections: [Int: [RowSelection]]
    /// By vertex and value, block by block, in the model's precision.
    private var rows: [Int: [Int: [Tensor]]] = [:]
    /// By value, the vertices of the layers that need rows of it.
    private var readers: [Int: [Int]] = [:]
    /// By vertex, the last of the model's steps that computes something of which rows are needed.
    private(set) var lastStep: [Int: Int] = [:]
    /// The bytes of all rows.
    private(set) var byteCount = 0

    /// The fewest rows that a normalisation is fitted on, in multiples of those for each feature.
    private static let normalisedFeatures = 64

    /// - Parameter models: one per block.
    init(_ models: [Specialisation], _ data: FitData, _ recovery: Recovery) throws {
        let model = models[0]
        let graph = model.graph
        let chooser = try RowChooser(data)
        var position = [Int](repeating: 0, count: graph.vertices.count)
        for (place, vertex) in graph.order.enumerated() { position[vertex] = place }
        var layers: [Int: LinearRows] = [:]
        var targets: [Int: FitTarget] = [:]
        var selections: [Int: [RowSelection]] = [:]
        for map in LinearMaps(of: graph).maps {
            guard let weight = model.parameters[map.weight], model.shapes[map.output] != nil else { continue }
            let layer = try LinearRows(map, in: graph, weight: weight)
            guard layer.channels > 0, layer.features > 1 else { continue }
            let counts = models.map { layer.rowCount(ofOutput: $0.shapes[map.output] ?? []) }
            layers[map.vertex] = layer
            selections[map.vertex] = try chooser.choose(
                rows: counts, wanted: recovery.rowsPerFeature * layer.features)
            let target = FitTarget(of: map, in: model, position: position)
            targets[map.vertex] = target
            for value in target.wanted(of: map) { readers[value, default: []].append(map.vertex) }
        }
        var normalisations: [Int: NormalisationLayer] = [:]
        for layer in NormalisationLayer.all(of: graph).values {
            guard let scale = model.parameters[layer.scale], let shape = model.shapes[layer.output],
                shape[layer.channelAxis(rank: shape.count)] == scale.count
            else { continue }
            normalisations[layer.vertex] = layer
            selections[layer.vertex] = try chooser.choose(
                rows: models.map { ($0.shapes[layer.output]?.reduce(1, *) ?? 0) / max(scale.count, 1) },
                wanted: recovery.rowsPerFeature * max(scale.count, Self.normalisedFeatures))
            readers[layer.output, default: []].append(layer.vertex)
        }
        (self.layers, self.targets, self.selections) = (layers, targets, selections)
        self.normalisations = normalisations
        var steps: [Int: Int] = [:]
        for (place, step) in model.steps.enumerated() {
            for case let output? in step.outputs { steps[output] = place }
        }
        for (value, vertices) in readers {
            for vertex in vertices {
                lastStep[vertex] = max(lastStep[vertex] ?? 0, steps[value] ?? 0)
                let channels = layers[vertex]?.channels ?? model.shapes[value]?.last ?? 0
                byteCount += selections[vertex, default: []].reduce(0) { $0 + $1.count } * channels * 4
            }
        }
    }

    /// Lets go of all rows.
    func removeAll() { rows = [:] }

    /// Lets go of a layer's rows.
    func remove(_ vertex: Int) { rows[vertex] = nil }

    /// Takes the rows of what a vertex of the unpruned model has computed.
    func collect(from block: Activations, block index: Int, after vertex: Int) throws {
        for case let value? in block.model.graph.vertices[vertex].outputs {
            guard let tensor = block[value] else { continue }
            for reader in readers[value] ?? [] {
                let selection = selections[reader, default: []][index]
                let own: Tensor
                if let layer = layers[reader] {
                    let shape = block.model.shapes[layer.map.output] ?? tensor.shape
                    own = try layer.rows(
                        of: tensor.shape == shape ? tensor : tensor.expanded(shape), selection)
                } else if let layer = normalisations[reader] {
                    own = try layer.rows(of: tensor, selection)
                } else {
                    continue
                }
                rows[reader, default: [:]][value, default: []].append(own)
            }
        }
    }

    /// Rows of a value of the unpruned model, float64 [n, M].
    func rows(of value: Int, for vertex: Int, block: Int) throws -> Tensor {
        guard let found = rows[vertex]?[value], found.indices.contains(block) else {
            throw EngineError.data("rows of the unpruned model are missing")
        }
        return try found[block].converted(to: .float64)
    }
}

extension NormalisationLayer {
    /// Where the channels lie.
    func channelAxis(rank: Int) -> Int { isAlongChannels ? 1 : rank - 1 }

    /// Rows of a tensor of its output's shape, [n, C].
    func rows(of tensor: Tensor, _ selection: RowSelection) throws -> Tensor {
        let axis = channelAxis(rank: tensor.rank)
        let order = (0..<tensor.rank).filter { $0 != axis } + [axis]
        return try tensor.permuted(order).reshaped([-1, tensor.shape[axis]]).gathering(0, selection.indices)
    }
}

/// How a file stores a parameter more narrowly than the engine computes.
enum StorageType {
    case float16, bfloat16

    /// `nil` for a value that is stored as the engine has it, or is no parameter.
    init?(_ value: Value) {
        switch value.constant?.elementType {
        case .float16: self = .float16
        case .bfloat16: self = .bfloat16
        default: return nil
        }
    }

    /// libtorch's type.
    var scalar: ScalarType { self == .float16 ? .float16 : .bfloat16 }
}
