internal import ONNX

/// Works out a vertex's outputs when what it reads is constant (or decides the result alone, as a zero factor does).
///
/// Inputs are constants that broadcast to the values they stand for, and so are the results. Arithmetic is in
/// Float64, rounded to the value's type after each vertex. Whatever is not exactly known gives `nil`.
struct Evaluation {
    /// One input slot.
    struct Input {
        enum Source {
            /// An optional input left out.
            case absent
            /// A value that is not constant.
            case live
            /// A constant with the value's rank.
            case constant(Constant)
            /// An initialiser, or a value computed from initialisers alone, by value index.
            case original(Int)
        }
        var source: Source
        var extents: [Extent]?
        /// Whether it may be infinite or NaN, so that zero times it is not zero.
        var mayBeInfinite = false
    }

    /// One output.
    struct Output {
        var extents: [Extent]?
        var elementType: ElementType
    }

    let vertex: Vertex
    var inputs: [Input]
    var outputs: [Output]
    let originals: OriginalConstants

    /// Multiplications that a single vertex may take; a slower one stays in the model.
    static let largestWork = 1 << 26

    /// The outputs, as many as are known from the first on; `nil` when the first is not.
    func results() throws -> [Constant]? {
        guard vertex.node.domain.isEmpty || vertex.node.domain == "ai.onnx", let output = outputs.first,
            let extents = output.extents
        else { return nil }
        guard let results = try vertex.facts.evaluation?.results(self), !results.isEmpty else { return nil }
        guard results[0].rank == extents.count else { return nil }
        return zip(results, outputs).map {
            $0.elementType == $1.elementType ? $0 : $0.converted(to: $1.elementType)
        }
    }

    /// Whether input `slot` is there.
    func isPresent(_ slot: Int) -> Bool {
        guard inputs.indices.contains(slot) else { return false }
        if case .absent = inputs[slot].source { return false }
        return true
    }

    /// The constant in input `slot`; `nil` when it is live or left out.
    func constant(_ slot: Int) throws -> Constant? {
        guard inputs.indices.contains(slot) else { return nil }
        let found: Constant?
        switch inputs[slot].source {
        case .constant(let constant): found = constant
        case .original(let value): found = try originals.constant(value)
        case .absent, .live: found = nil
        }
        guard let found, inputs[slot].extents.map({ $0.count == found.rank }) ?? true else { return nil }
        return found
    }

    /// Whether the constant in `slot` is known to be zero, without decoding weights.
    func isZero(_ slot: Int) -> Bool {
        guard inputs.indices.contains(slot), case .constant(let constant) = inputs[slot].source else {
            return false
        }
        return constant.isZero
    }

    /// Whether zeros in one of the first two slots decide a product, whatever the other factor is.
    var hasZeroFactor: Bool {
        [(0, 1), (1, 0)].contains { zero, other in isZero(zero) && !mayBeInfinite(other) }
    }

    /// Whether the factor in `slot` may be infinite or NaN.
    func mayBeInfinite(_ slot: Int) -> Bool {
        guard inputs.indices.contains(slot) else { return false }
        switch inputs[slot].source {
        case .constant(let constant): return constant.elements.contains { !$0.isFinite }
        case .live: return inputs[slot].mayBeInfinite
        case .absent, .original: return false
        }
    }

    /// The whole numbers in input `slot`.
    func integers(_ slot: Int) throws -> [Int]? {
        guard inputs.indices.contains(slot), case .original(let value) = inputs[slot].source else {
            return nil
        }
        return try originals.integers(value)
    }

    /// The axes that attribute or input `axes` names, counted from the front; `nil` when not known, or when there is no such
    /// axis: the rules read files that no run has checked, too.
    func axes(slot: Int, rank: Int, default fallback: [Int]) throws -> [Int]? {
        let axes: [Int]
        if let attribute = try vertex.node.ints("axes", default: nil) {
            axes = attribute
        } else if isPresent(slot) {
            guard let read = try integers(slot) else { return nil }
            axes = read
        } else {
            axes = fallback
        }
        let resolved = axes.map { $0 < 0 ? $0 + rank : $0 }
        return resolved.allSatisfy((0..<rank).contains) ? resolved : nil
    }

    /// The rank of output 0; the caller has checked that it is known.
    var outputRank: Int { outputs[0].extents?.count ?? 0 }

    /// Zeros as output 0.
    var zero: Constant { Constant(outputs[0].elementType, rank: outputRank) }

    /// Output 0 of an operator that works element by element, on one input or on several that broadcast.
    ///
    /// - Parameters:
    ///   - readsFirst: whether it reads no input but the first.
    ///   - function: the function for so many operands; `nil` where the operator has none.
    func elementwise(
        readsFirst: Bool = false, _ function: (Evaluation, Int) throws -> (([Double]) -> Double)?
    ) throws -> Constant? {
        var constants: [Constant] = []
        for slot in inputs.indices where isPresent(slot) {
            if slot > 0, readsFirst { break }
            guard let constant = try constant(slot) else { return nil }
            constants.append(constant)
        }
        let type = outputs[0].elementType
        guard !constants.isEmpty, type.isFloatingPoint || type == .bool,
            let function = try function(self, constants.count)
        else { return nil }
        return combine(constants, function)
    }

    /// The function of corresponding elements, over the shape that the constants broadcast to.
    func combine(_ constants: [Constant], _ function: ([Double]) -> Double) -> Constant? {
        let rank = max(outputRank, constants.map(\.rank).max() ?? 0)
        var shape = [Int](repeating: 1, count: rank)
        let padded = constants.map { $0.withRank(rank) }
        for constant in padded {
            for axis in shape.indices { shape[axis] = max(shape[axis], constant.shape[axis]) }
        }
        var expanded: [[Double]] = []
        for constant in padded {
            guard let whole = constant.expanded(to: shape) else { return nil }
            expanded.append(whole.elements)
        }
        let count = shape.reduce(1, *)
        return Constant(
            outputs[0].elementType, shape: shape,
            (0..<count).map { index in function(expanded.map { $0[index] }) })
    }
}

/// How outputs follow from constant inputs. Arithmetic is in Float64; `nil` where the result is not exactly known.
struct ConstantRule: Sendable {
    /// The outputs, as many as are known from the first on.
    let results: @Sendable (Evaluation) throws -> [Constant]?

    /// A rule for all outputs.
    init(_ results: @escaping @Sendable (Evaluation) throws -> [Constant]?) { self.results = results }

    /// A rule for the first output alone.
    static func first(_ rule: @escaping @Sendable (Evaluation) throws -> Constant?) -> ConstantRule {
        ConstantRule { try rule($0).map { [$0] } }
    }

    /// A function of each element of the only input; `function` reads the attributes once.
    static func unary(
        readsFirst: Bool = false, _ function: @escaping @Sendable (Evaluation) throws -> (Double) -> Double
    ) -> ConstantRule {
        .first { evaluation in
            try evaluation.elementwise(readsFirst: readsFirst) { evaluation, count in
                guard count == 1 else { return nil }
                let function = try function(evaluation)
                return { function($0[0]) }
            }
        }
    }

    /// A function of each element of the only input.
    static func map(_ function: @escaping @Sendable (Double) -> Double) -> ConstantRule {
        .unary { _ in function }
    }

    /// A function of corresponding elements of two inputs.
    static func binary(_ function: @escaping @Sendable (Double, Double) -> Double) -> ConstantRule {
        .first { evaluation in
            try evaluation.elementwise { _, count in count == 2 ? { function($0[0], $0[1]) } : nil }
        }
    }

    /// A function of corresponding elements of any number of inputs.
    static func variadic(_ function: @escaping @Sendable ([Double]) -> Double) -> ConstantRule {
        .first { try $0.elementwise { _, _ in function } }
    }
}

/// The constants that the file itself holds or computes from initialisers alone, decoded when asked for.
///
/// A class because every part of a rewriting shares what one part has decoded.
final class OriginalConstants {
    private let graph: Graph
    private let shapes: ValueShapes
    private var decoded: [Int: Constant?] = [:]

    init(_ graph: Graph, _ shapes: ValueShapes) {
        self.graph = graph
        self.shapes = shapes
    }

    /// Whether `value` is an initialiser or a Constant node's.
    func isStored(_ value: Int) -> Bool {
        graph.values[value].constant != nil
            || graph.values[value].producer.map { graph.vertices[$0].facts.isStored } ?? false
    }

    /// The elements of a value that follows from initialisers alone; `nil` for any other.
    func constant(_ value: Int) throws -> Constant? {
        if let known = decoded[value] { return known }
        decoded.updateValue(nil, forKey: value)
        let constant = try evaluate(value)
        decoded.updateValue(constant, forKey: value)
        return constant
    }

    /// The whole numbers of an integer value that follows from initialisers alone.
    func integers(_ value: Int) throws -> [Int]? {
        if let data = try graph.constantData(value) {
            return data.elementType.isInteger ? try data.int64s.map { Int($0) } : nil
        }
        guard let constant = try constant(value), constant.elementType.isInteger else { return nil }
        return constant.elements.map { Int(exactly: $0) ?? ($0 > 0 ? .max : .min) }
    }

    /// The contents of such a value, as weights to slice.
    func tensor(_ value: Int) throws -> TensorData? {
        if let data = try graph.constantData(value) { return data }
        guard let constant = try constant(value), let extents = shapes.extents(of: value) else { return nil }
        let sizes = extents.compactMap(\.fixed)
        return sizes.count == extents.count ? try constant.expanded(to: sizes)?.tensorData() : nil
    }

    private func evaluate(_ value: Int) throws -> Constant? {
        if let data = try graph.constantData(value) {
            let isNumber =
                data.elementType.isFloatingPoint || data.elementType.isInteger || data.elementType == .bool
            return isNumber ? try Constant(data) : nil
        }
        guard let producer = graph.values[value].producer, !graph.values[value].dependsOnData else {
            return nil
        }
        let vertex = graph.vertices[producer]
        if vertex.facts.isStored { return try Constant(attributesOf: vertex.node) }
        guard vertex.captured.isEmpty, !vertex.inputs.isEmpty, vertex.outputs.first == value else {
            return nil
        }
        var inputs: [Evaluation.Input] = []
        for input in vertex.inputs {
            guard let input else {
                inputs.append(.init(source: .absent, extents: nil))
                continue
            }
            guard isStored(input) || graph.values[input].producer != nil else { return nil }
            guard try constant(input) != nil else { return nil }
            inputs.append(.init(source: .original(input), extents: shapes.extents(of: input)))
        }
        let output = Evaluation.Output(
            extents: shapes.extents(of: value), elementType: graph.values[value].elementType)
        return try Evaluation(vertex: vertex, inputs: inputs, outputs: [output], originals: self).results()?
            .first
    }
}
