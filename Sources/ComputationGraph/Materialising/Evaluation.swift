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
        let results: [Constant]
        switch vertex.operation {
        case "Split":
            guard let parts = try split() else { return nil }
            results = parts
        default:
            guard let result = try first() else { return nil }
            results = [result]
        }
        guard results[0].rank == extents.count else { return nil }
        return zip(results, outputs).map {
            $0.elementType == $1.elementType ? $0 : $0.converted(to: $1.elementType)
        }
    }

    /// The first output, by families of operators.
    private func first() throws -> Constant? {
        switch vertex.operation {
        case "BatchNormalization", "InstanceNormalization", "LayerNormalization", "Softmax", "LogSoftmax":
            return try normalisation()
        case "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "AveragePool", "Resize", "Upsample":
            return try pooling()
        case "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare",
            "ReduceProd", "ReduceLogSum", "ReduceLogSumExp":
            return try reduction()
        case "MatMul", "Gemm", "Einsum": return try product()
        case "Conv", "ConvTranspose": return try convolution()
        case "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather", "Expand", "Tile",
            "Pad",
            "Concat", "DepthToSpace", "SpaceToDepth", "CumSum", "Trilu", "GatherElements", "GatherND":
            return try layout()
        default: return try elementwise()
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
        switch inputs[slot].source {
        case .constant(let constant): return constant
        case .original(let value): return try originals.constant(value)
        case .absent, .live: return nil
        }
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

    /// The axes that attribute or input `axes` names, counted from the front; `nil` when not known.
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
        return axes.map { $0 < 0 ? $0 + rank : $0 }
    }

    /// The rank of output 0; the caller has checked that it is known.
    var outputRank: Int { outputs[0].extents?.count ?? 0 }
    /// The sizes of output 0 where all are fixed.
    var fixedOutput: [Int]? {
        let sizes = outputs[0].extents?.map(\.fixed)
        return sizes.flatMap { $0.contains(nil) ? nil : $0.compactMap { $0 } }
    }

    /// Zeros as output 0.
    var zero: Constant { Constant(outputs[0].elementType, rank: outputRank) }
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
            || graph.values[value].producer.map { graph.vertices[$0].operation == "Constant" } ?? false
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
        if vertex.operation == "Constant" { return try attributeConstant(vertex) }
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

    /// A Constant node's number or list.
    private func attributeConstant(_ vertex: Vertex) throws -> Constant? {
        let node = vertex.node
        if let number = try node.float("value_float", default: nil) {
            return Constant(.float32, shape: [], [Double(number)])
        }
        if let numbers = try node.floats("value_floats", default: nil) {
            return Constant(.float32, shape: [numbers.count], numbers.map(Double.init))
        }
        if let number = try node.int("value_int", default: nil) {
            return Constant(.int64, shape: [], [Double(number)])
        }
        if let numbers = try node.ints("value_ints", default: nil) {
            return Constant(.int64, shape: [numbers.count], numbers.map(Double.init))
        }
        return nil
    }
}
