internal import ONNX

/// A constant written out in full.
struct ExpansionKey: Hashable {
    let constant: Constant
    let extents: [Extent]
}

/// Writing out in full what has no tensor: the rule that always applies.
extension Rewriter {
    /// A tensor that holds what the operand reads, in full.
    mutating func explicit(_ operand: Operand) throws -> String {
        switch operand.form {
        case .tensor(let name): return name
        case .uniform(let constant) where operand.isCut:
            return try expanded(constant, extents: operand.extents ?? [], value: operand.value)
        default: return try explicit(operand.value)
        }
    }

    /// A tensor that holds a value in full.
    mutating func explicit(_ value: Int) throws -> String {
        if let name = caches.explicit[value] { return name }
        let name: String
        switch forms[value] {
        case .tensor(let tensor): return tensor
        case .uniform(let constant):
            name = try expanded(constant, extents: extents(of: value) ?? [], value: value)
        case .narrow(let tensor, let sizes):
            name = try expand(tensor, sizes: sizes, extents: extents(of: value) ?? [], value: value)
        case .partial(let partial): name = try joined(partial, value: value)
        case nil: return graph.values[value].name
        }
        caches.explicit[value] = name
        return name
    }

    /// Makes a tensor of the value's own name, for an output of the model or a subgraph that reads it.
    mutating func pin(_ value: Int) throws {
        let name = graph.values[value].name
        let tensor = try explicit(value)
        if tensor != name {
            emit("Identity", [tensor], output: name)
            if case .partial = forms[value] { return }
            if case .uniform = forms[value] { return }
            forms[value] = .tensor(name)
        }
    }

    /// A constant in full, as an initialiser where its own shape is already the whole one.
    ///
    /// - Parameter value: the value whose axes `extents` are, to take from a tensor what follows from no input.
    mutating func expanded(_ constant: Constant, extents: [Extent], value: Int) throws -> String {
        let key = ExpansionKey(constant: constant, extents: extents)
        if let name = caches.expansions[key] { return name }
        let isWhole = extents.map(\.fixed) == constant.shape
        let small = try isWhole ? initializer(constant) : broadcastable(constant).name
        let name = isWhole ? small : try expand(small, sizes: constant.shape, extents: extents, value: value)
        caches.expansions[key] = name
        return name
    }

    /// A constant in the shape of a tensor.
    mutating func expanded(_ constant: Constant, toShapeOf tensor: String) throws -> String {
        let shape = emit("Shape", [tensor], output: names("\(tensor)/shape"))
        let name = emit(
            "Expand", [try broadcastable(constant).name, shape], output: names("\(tensor)/zeros"))
        forms.record(name, forms.sizes[tensor])
        return name
    }

    /// A tensor with `sizes` repeated to `extents`.
    mutating func expand(_ tensor: String, sizes: [Int], extents: [Extent], value: Int) throws -> String {
        if extents.map(\.fixed) == sizes { return tensor }
        try requireExpand()
        let shape = try shapeTensor(extents, of: value)
        let name = emit("Expand", [tensor, shape], output: names("\(tensor)/expanded"))
        record(name, extents)
        return name
    }

    /// The tensor of a partial value with its constants put back.
    private mutating func joined(_ partial: Partial, value: Int) throws -> String {
        let pieces = try pieces(of: partial)
        var all: [String] = []
        var live = pieces.makeIterator()
        for segment in partial.segments {
            if let constant = segment.constant {
                all.append(try piece(constant, length: segment.length, of: partial, value: value))
            } else if let piece = live.next() {
                all.append(piece)
            }
        }
        let name = emit(
            "Concat", all, [.init(name: "axis", int: partial.axis)],
            output: names("\(graph.values[value].name)/joined"))
        forms.record(name, likeValue: value)
        return name
    }

    /// A constant segment of a partial value, in full.
    mutating func piece(_ constant: Constant, length: Int, of partial: Partial, value: Int) throws -> String {
        var extents = extents(of: value) ?? []
        extents[partial.axis] = shapes.fixed(length)
        return try expanded(constant, extents: extents, value: value)
    }

    /// A tensor for each live segment.
    mutating func pieces(of partial: Partial) throws -> [String] {
        switch partial.packing {
        case .pieces(let names): return names
        case .packed(let name):
            var start = 0
            let live = partial.segments.filter(\.isLive)
            guard live.count > 1 else { return [name] }
            var pieces: [String] = []
            for segment in live {
                pieces.append(try select(name, [start..<start + segment.length], axis: partial.axis))
                start += segment.length
            }
            return pieces
        }
    }

    /// One tensor with all live segments of a value's partial form, remembered for the value's other consumers.
    mutating func packed(_ partial: Partial, value: Int) -> String {
        switch partial.packing {
        case .packed(let name): return name
        case .pieces(let pieces):
            if pieces.count == 1 { return pieces[0] }
            let name = emit(
                "Concat", pieces, [.init(name: "axis", int: partial.axis)],
                output: names("\(graph.values[value].name)/packed"))
            forms[value] = .partial(partial.repacked(name, axis: partial.axis) { $0 })
            return name
        }
    }

    func requireExpand() throws {
        guard graph.model.operatorSet >= 8 else {
            throw GraphError.unusable(
                "operator set \(graph.model.operatorSet) has no Expand to write constants out with; 8 is needed"
            )
        }
    }
}
