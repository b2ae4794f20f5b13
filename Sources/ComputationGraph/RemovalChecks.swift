internal import BitCollections

/// Whether units can be removed, alone and together.
extension Graph {
    /// Checks that `unit` exists and may be removed.
    ///
    /// - Parameter costs: tells whether a bypassed layer's input has the shape of its output.
    /// - Throws: `GraphError` that says what is wrong with it.
    public func requireCandidate(_ unit: Unit, costs: CostModel? = nil) throws(GraphError) {
        try requireCandidate(unit.edge)
        guard !unit.kind.isSliced else { return try requireSlice(unit) }
        guard unit.root.positions == nil else {
            throw .unknownUnit(
                unit, reason: "of an edge or a layer all goes: parts are channels, heads or neurons")
        }
        switch (unit.kind, unit.replacement) {
        case (.edge, .bypass): throw .unknownUnit(unit, reason: "only a layer can be bypassed, not an edge")
        case (.edge, _): return
        case (.layer, _), (.channels, _), (.heads, _), (.neurons, _): break
        }
        let vertex = vertices[unit.edge.node]
        guard let possible = layer(vertex, replacement: unit.replacement, costs: costs) else {
            throw .unknownUnit(
                unit,
                reason:
                    "node \(vertex.index) (\(vertex.name)) does not compute one floating-point value that depends "
                    + "on a model input and is no output of the model")
        }
        guard possible.edge == unit.edge else {
            throw .unknownUnit(unit, reason: "this layer is written \(possible)")
        }
        guard costs == nil || possible.replacement == unit.replacement else {
            throw .unknownUnit(
                unit,
                reason:
                    "the input of node \(vertex.index) (\(vertex.name)) has not the shape and type of its output"
            )
        }
    }

    /// Checks that the units of a mask can be removed together.
    ///
    /// - Throws: `GraphError` that names a unit that cannot.
    public func requireCompatible(_ mask: Mask) throws(GraphError) {
        if let unit = unitThatNeedsSlices(of: mask) {
            throw .unknownUnit(
                unit, reason: "channels, heads or neurons that it has to do with are removed too")
        }
        guard let coupling else { return }
        var gone: [ValueAxis: BitSet] = [:]
        for unit in mask.slices {
            for (axis, positions) in (try? coupling.closure(of: unit.root))?.gone ?? [:] {
                gone[axis, default: []].formUnion(positions)
            }
        }
        if let empty = gone.filter({ $0.value.count >= coupling.length(of: $0.key) ?? 0 }).keys.min() {
            throw .notWritable(
                reason:
                    "nothing would be left of '\(values[coupling.stored(empty.value)].name)' along axis \(empty.axis)"
            )
        }
    }

    /// Checks that a slice can be followed through the graph: without that a mask would leave it in.
    ///
    /// - Throws: `GraphError` that names the unit.
    package func requireKnown(_ unit: Unit) throws(GraphError) {
        guard let coupling else {
            throw .unknownUnit(unit, reason: "the sizes of the model's values are not known")
        }
        do { _ = try coupling.closure(of: unit.root) } catch {
            throw .unknownUnit(unit, reason: "the positions have to stay: \(error.reason(in: self))")
        }
    }

    /// Checks that a unit made of positions exists, and names all of them.
    private func requireSlice(_ unit: Unit) throws(GraphError) {
        guard unit.replacement == .zero else {
            throw .unknownUnit(
                unit, reason: "\(unit.kind.rawValue) read zeros, not \(unit.replacement.rawValue)")
        }
        guard let positions = unit.root.positions else {
            throw .unknownUnit(unit, reason: "its positions are missing, as in \(unit.edge)[1:0..<8]")
        }
        guard let coupling else {
            throw .unknownUnit(unit, reason: "the sizes of the model's values are not known")
        }
        let closure: Closure
        do { closure = try coupling.closure(of: unit.root) } catch {
            throw .unknownUnit(unit, reason: "the positions have to stay: \(error.reason(in: self))")
        }
        guard let value = value(on: unit.edge),
            let all = closure.gone[ValueAxis(value: value, axis: positions.axis)]
        else { return }
        let whole = Slice(unit.edge, positions: Slice.Positions(axis: positions.axis, ascending: all))
        guard whole == unit.root else {
            throw .unknownUnit(
                unit,
                reason: "others go with these positions; together they are \(Unit(unit.kind, root: whole))")
        }
        let kind = kind(of: closure, at: value)
        guard kind == unit.kind else { throw .unknownUnit(unit, reason: "these are \(kind.rawValue)") }
    }

    /// Checks that `edge` exists and may be removed.
    ///
    /// - Throws: `GraphError` that says what is wrong with it.
    public func requireCandidate(_ edge: Edge) throws(GraphError) {
        guard vertices.indices.contains(edge.node) else {
            throw .unknownEdge(edge, reason: "the model has \(vertices.count) nodes, numbered from 0")
        }
        let vertex = vertices[edge.node]
        guard let value = value(on: edge) else {
            throw .unknownEdge(
                edge, reason: "node \(edge.node) (\(vertex.name)) has \(vertex.inputs.count) inputs")
        }
        guard Candidates.isCandidate(edge, in: self, liveness: Liveness(of: self, under: .empty)) else {
            throw .unknownEdge(
                edge,
                reason:
                    "'\(values[value].name)' into node \(edge.node) (\(vertex.name)) is no floating-point value "
                    + "that depends on a model input and reaches an output")
        }
    }
}
