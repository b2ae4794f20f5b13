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
        /// By the data, the smallest first: see ``SliceCriterion``.
        case taylor1, fisher, wanda

        /// What is measured on the data; `nil` where the file alone tells the order.
        public var criterion: SliceCriterion? { SliceCriterion(rawValue: rawValue) }
    }

    /// By kind, the number of chunks of a layer; of a kind that is not named every channel, head or neuron is one.
    public var chunks: [Unit.Kind: Int]
    /// What is left of a layer is a multiple of this, where it can be.
    public var rounding: Int
    /// The order inside a layer.
    public var order: Order
    /// Whether the order is worked out again from every state that the search goes on from, not once from the whole model.
    public var isRenewed = false

    /// Eighths of a layer's channels and neurons, and single heads, unless told otherwise.
    public init(
        chunks: [Unit.Kind: Int] = [.channels: 8, .neurons: 8], rounding: Int = 1, order: Order = .magnitude
    ) {
        (self.chunks, self.rounding, self.order) = (chunks, rounding, order)
    }

    /// The units of a group, in the order in which they may go. The last chunk stays.
    ///
    /// - Parameter scores: by atom, what the criterion says; without it the magnitude stands in where data are needed.
    func units(of group: SliceGroup, scores: [Double]? = nil) -> [Unit] {
        let order = ordered(group.atoms.indices, of: group, scores)
        let bounds = bounds(of: group)
        return zip(bounds, bounds.dropFirst()).dropLast().map { start, end in
            Unit(group.kind, root: group.slice(ofAtoms: order[start..<end]))
        }
    }

    /// The unit of a group that may go next once others are gone; `nil` where only the last chunk is left.
    ///
    /// - Parameters:
    ///   - gone: the atoms that are gone.
    ///   - scores: by atom, what the criterion says of what is left.
    func nextUnit(of group: SliceGroup, without gone: Set<Int>, scores: [Double]) -> Unit? {
        let bounds = bounds(of: group)
        guard let place = bounds.firstIndex(of: gone.count), place + 2 < bounds.count else { return nil }
        let left = ordered(group.atoms.indices.filter { !gone.contains($0) }, of: group, scores)
        return Unit(group.kind, root: group.slice(ofAtoms: left.prefix(bounds[place + 1] - gone.count)))
    }

    /// Atoms in the order in which they may go.
    private func ordered(_ atoms: some Sequence<Int>, of group: SliceGroup, _ scores: [Double]?) -> [Int] {
        if order == .position { return Array(atoms) }
        // Magnitudes decide between equals: gradients of a loss that compares with the model itself are all 0 at first.
        let scores = scores ?? group.squares
        return atoms.sorted { (scores[$0], group.squares[$0], $0) < (scores[$1], group.squares[$1], $1) }
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
    private enum CodingKeys: String, CodingKey { case chunks, rounding, order, isRenewed }

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
        isRenewed = try container.decodeIfPresent(Bool.self, forKey: .isRenewed) ?? false
    }

    /// Writes the number of chunks by kind, the rounding, the order, and that it is renewed if it is.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        let named = chunks.map { ($0.key.rawValue, $0.value) }
        try container.encode(Dictionary(uniqueKeysWithValues: named), forKey: .chunks)
        try container.encode(rounding, forKey: .rounding)
        try container.encode(order, forKey: .order)
        if isRenewed { try container.encode(isRenewed, forKey: .isRenewed) }
    }
}

extension SliceGroups {
    /// The groups of which a search may remove something, and their units in the order in which they may go.
    ///
    /// - Parameter scores: what a criterion says of all groups' atoms.
    /// - Throws: `GraphError` for a pattern that is no regular expression.
    public func chunked(
        _ units: UnitSelection, of graph: Graph, _ selection: CandidateSelection, scores: SliceScores? = nil
    ) throws -> [(group: SliceGroup, units: [Unit])] {
        try selected(units, of: graph, selection).map { place in
            (groups[place], units.chunking.units(of: groups[place], scores: scores?[place]))
        }.filter { !$0.1.isEmpty }
    }

    /// The places of the groups of which a search may remove something.
    ///
    /// - Throws: `GraphError` for a pattern that is no regular expression.
    func selected(_ units: UnitSelection, of graph: Graph, _ selection: CandidateSelection) throws -> [Int] {
        if selection.isGiven { return [] }
        let expression = try selection.expression()
        return groups.indices.filter { place in
            // Neurons are the channels of layers between vectors.
            let kind = groups[place].kind
            return units.kinds.contains(kind) || kind == .neurons && units.kinds.contains(.channels)
        }.filter { place in
            guard let expression else { return true }
            return groups[place].layers.contains { layer in
                let vertex = graph.vertices[layer]
                return ModulePath(of: vertex.node)?.description.wholeMatch(of: expression) != nil
                    || [vertex.name, vertex.operation].contains { $0.firstMatch(of: expression) != nil }
            }
        }
    }
}

extension Graph {
    /// What positions along an axis of a value are, from all that goes with them.
    func kind(of closure: Closure, at value: Int) -> Unit.Kind {
        if closure.isBatched { return .heads }
        // The width of a stream that layers read through a normalisation.
        if closure.isAveraged { return .channels }
        switch values[value].producer.flatMap({ vertices[$0].facts.linear }) {
        case .product, .gemm: return .neurons
        case .convolution, .transposedConvolution, nil: return .channels
        }
    }
}
