internal import ONNX

/// A rule that makes a vertex smaller because some of what it reads is constant, partly constant or narrow.
///
/// It emits what is left of the vertex and notes what its outputs have become, or does nothing and answers `false`.
/// Nothing reads what a rule has emitted before it gave up, so that is swept out.
struct Simplification: Sendable {
    /// Applies the rule; answers whether it did.
    let apply: @Sendable (inout Rewriter, Vertex, [Operand?]) throws -> Bool

    init(_ apply: @escaping @Sendable (inout Rewriter, Vertex, [Operand?]) throws -> Bool) {
        self.apply = apply
    }

    /// A rule for a first input that is partly constant.
    static func partial(
        _ rule: @escaping @Sendable (inout Rewriter, Vertex, [Operand?], Partial) throws -> Bool
    ) -> Simplification {
        Simplification { rewriter, vertex, operands in
            guard let partial = operands.first??.partial else { return false }
            return try rule(&rewriter, vertex, operands, partial)
        }
    }

    /// The output is one of the operands where the others change nothing: x + 0, x · 1.
    ///
    /// - Parameter rule: the operand that the output is; `nil` where there is none.
    static func keeping(_ rule: @escaping @Sendable (KnownOperands) -> Operand?) -> Simplification {
        Simplification { rewriter, vertex, operands in
            try rewriter.keep(rule(KnownOperands(present: operands.compactMap { $0 })), of: vertex)
        }
    }

    /// Positions along the axis of a partly constant first input stay apart: the vertex works on the live ones alone.
    ///
    /// - Parameter rule: the axes that correspond; `nil` where positions do not stay apart.
    static func carrying(
        _ rule: @escaping @Sendable (CarriedInput) throws -> CarriedAxes?
    ) -> Simplification {
        Simplification { rewriter, vertex, operands in
            try rewriter.rewriteCarried(vertex, operands) { try $0.slot == 0 ? rule($0) : nil }
        }
    }

    /// Every axis of the only input stays as it is.
    static let carryingEveryAxis = Simplification.carrying { $0.first($0.axis) }

    /// The same for operands that broadcast, whichever of them is partly constant.
    static let carryingBroadcast = Simplification { rewriter, vertex, operands in
        try rewriter.rewriteCarried(vertex, operands) { $0.broadcast }
    }

    /// Constants are read small where operands broadcast.
    static let broadcasting = Simplification { try $0.rewriteBroadcasting($1, $2) }

    /// What is the same for every sample is computed once.
    ///
    /// - Parameter condition: whether the vertex treats the positions of axis 0 one by one, given the rank of its input.
    static func onceWhereSamplewise(
        _ condition: @escaping @Sendable (Rewriter, Vertex, Int) throws -> Bool
    ) -> Simplification {
        Simplification { try $0.rewriteNarrow($1, $2, where: condition) }
    }

    /// The same for an operator that always does.
    static let onceForAllSamples = Simplification.onceWhereSamplewise { _, _, _ in true }
}

/// The inputs of a vertex that are there, and which of them are constant.
struct KnownOperands {
    let present: [Operand]

    /// Whether an operand is this number everywhere.
    func isFilled(_ position: Int, with number: Double) -> Bool {
        present.indices.contains(position) && present[position].constant?.isFilled(with: number) ?? false
    }
}

extension Rewriter {
    /// Lets one of the operands stand for the first output, repeated to its shape where that is larger.
    fileprivate mutating func keep(_ kept: Operand?, of vertex: Vertex) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let target = extents(of: output) else { return false }
        guard let kept, kept.elementType == graph.values[output].elementType, let extents = kept.extents
        else {
            return false
        }
        if extents == target {
            forms[output] = kept.form
        } else {
            try requireExpand()
            let shape = try shapeTensor(target, of: output)
            forms[output] = .tensor(
                emit("Expand", [try explicit(kept), shape], output: graph.values[output].name))
        }
        return true
    }

    /// Constants in place: the node stays, and reads them small.
    fileprivate mutating func rewriteBroadcasting(_ vertex: Vertex, _ operands: [Operand?]) throws -> Bool {
        guard let output = vertex.outputs.first ?? nil, let target = extents(of: output) else { return false }
        var inputs: [String?] = []
        var sizes: [[Extent]] = []
        var isLive = false
        for case let operand? in operands {
            guard let extents = operand.extents else { return false }
            switch operand.form {
            case .uniform(let constant):
                let (name, size) = try broadcastable(constant)
                inputs.append(name)
                sizes.append(size)
            case .narrow(let name, let shape):
                inputs.append(name)
                sizes.append(shape.map(shapes.fixed))
            case .tensor, .partial:
                inputs.append(try explicit(operand))
                sizes.append(extents)
                if !isOriginalConstant(operand.value) || extents.contains(where: { $0.fixed == nil }) {
                    isLive = true
                }
            }
        }
        guard let result = Self.broadcast(sizes, one: shapes.fixed(1)) else { return false }
        if result == target {
            emit(vertex, inputs: inputs)
            return true
        }
        let name = names("\(graph.values[output].name)/small")
        emit(copyOf: vertex, inputs: inputs, outputs: [name])
        record(name, result)
        let fixed = result.compactMap(\.fixed)
        if !isLive, fixed.count == result.count, result.count == target.count {
            forms[output] = .narrow(name, fixed)
        } else {
            try requireExpand()
            let shape = try shapeTensor(target, of: output)
            forms[output] = .tensor(emit("Expand", [name, shape], output: graph.values[output].name))
        }
        return true
    }

    /// The shape that shapes broadcast to; `nil` when they do not.
    static func broadcast(_ shapes: [[Extent]], one: Extent) -> [Extent]? {
        var result = [Extent](repeating: one, count: shapes.map(\.count).max() ?? 0)
        for shape in shapes {
            for (offset, extent) in shape.reversed().enumerated() where extent != one {
                let axis = result.count - 1 - offset
                guard result[axis] == one || result[axis] == extent else { return nil }
                result[axis] = extent
            }
        }
        return result
    }
}
