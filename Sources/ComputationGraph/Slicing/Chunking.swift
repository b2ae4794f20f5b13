internal import ONNX

/// How the channels, heads or neurons of a layer become units: chunks of an order inside the layer.
///
/// A cheap criterion orders inside a layer, and the exact loss decides between layers: a chunk is a candidate once those before
/// it are gone.
public struct Chunking: Sendable, Hashable {
    /// What orders the positions inside a layer.
    public enum Order: String, Sendable, Hashable, Codable, CaseIterable {
        /// By the norm of all weights that go with a position, the smallest first.
        case magnitude
        /// As they stand in the file.
        case position
    }

    /// By kind, the number of chunks of a layer; of a kind that is not named every channel, head or neuron is one.
    public var chunks: [Unit.Kind: Int]
    /// What is left of a layer is a multiple of this, where it can be.
    public var rounding: Int
    /// The order inside a layer.
    public var order: Order

    /// Eighths of a layer's channels and neurons, and single heads, unless told otherwise.
    public init(
        chunks: [Unit.Kind: Int] = [.channels: 8, .neurons: 8], rounding: Int = 1, order: Order = .magnitude
    ) {
        (self.chunks, self.rounding, self.order) = (chunks, rounding, order)
    }

    /// The units of a group, in the order in which they may go. The last chunk stays.
    func units(of group: SliceGroup) -> [Unit] {
        var order = Array(group.atoms.indices)
        if self.order == .magnitude {
            order.sort { (group.squares[$0], $0) < (group.squares[$1], $1) }
        }
        let bounds = bounds(of: group)
        return zip(bounds, bounds.dropFirst()).dropLast().map { start, end in
            Unit(group.kind, root: group.slice(ofAtoms: order[start..<end]))
        }
    }

    /// Where chunks begin and end, in atoms.
    private func bounds(of group: SliceGroup) -> [Int] {
        let count = group.atoms.count
        let wanted = min(count, max(1, chunks[group.kind] ?? count))
        let width = group.atoms.first?.count ?? 1
        // The least number of atoms whose positions are a multiple of the rounding.
        let step = (1...max(1, rounding)).first { $0 * width % rounding == 0 } ?? 1
        guard step > 1, step < count else { return (0...wanted).map { $0 * count / wanted } }
        let size = ((count + wanted - 1) / wanted + step - 1) / step * step
        let first = count % size == 0 ? size : count % size
        return [0] + stride(from: first, through: count, by: size)
    }
}

extension Chunking: Codable {
    private enum CodingKeys: String, CodingKey { case chunks, rounding, order }

    /// Reads what `encode(to:)` wrote.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let named = try container.decode([String: Int].self, forKey: .chunks)
        self.init(
            chunks: Dictionary(
                uniqueKeysWithValues: named.compactMap { name, count in
                    Unit.Kind(rawValue: name).map { ($0, count) }
                }),
            rounding: try container.decode(Int.self, forKey: .rounding),
            order: try container.decode(Order.self, forKey: .order))
    }

    /// Writes the number of chunks by kind, the rounding and the order.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        let named = chunks.map { ($0.key.rawValue, $0.value) }
        try container.encode(Dictionary(uniqueKeysWithValues: named), forKey: .chunks)
        try container.encode(rounding, forKey: .rounding)
        try container.encode(order, forKey: .order)
    }
}

extension SliceGroups {
    /// The groups of which a search may remove something, and their units in the order in which they may go.
    ///
    /// - Throws: `GraphError` for a pattern that is no regular expression.
    public func chunked(
        _ units: UnitSelection, of graph: Graph, _ selection: CandidateSelection
    ) throws -> [(group: SliceGroup, units: [Unit])] {
        if selection.isGiven { return [] }
        let expression = try selection.expression()
        return groups.filter { group in
            // Neurons are the channels of layers between vectors.
            units.kinds.contains(group.kind) || group.kind == .neurons && units.kinds.contains(.channels)
        }.filter { group in
            guard let expression else { return true }
            return group.layers.contains { layer in
                let vertex = graph.vertices[layer]
                return ModulePath(of: vertex.node)?.description.wholeMatch(of: expression) != nil
                    || [vertex.name, vertex.operation].contains { $0.firstMatch(of: expression) != nil }
            }
        }.map { ($0, units.chunking.units(of: $0)) }.filter { !$0.1.isEmpty }
    }
}

extension Graph {
    /// What positions along an axis of a value are, from all that goes with them.
    func kind(of closure: Closure, at value: Int) -> Unit.Kind {
        if closure.isBatched { return .heads }
        switch values[value].producer.flatMap({ vertices[$0].facts.linear }) {
        case .product, .gemm: return .neurons
        case .convolution, .transposedConvolution, nil: return .channels
        }
    }
}
