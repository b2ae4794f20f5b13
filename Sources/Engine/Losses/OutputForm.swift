public import ComputationGraph
internal import ONNX

/// What the numbers of a model output are.
public enum OutputForm: String, Sendable, Hashable, CaseIterable, Codable {
    /// Scores whose softmax are probabilities: what a linear layer gives.
    case logits
    /// Not negative, summing to one along the classes.
    case probabilities
    /// Logarithms of such probabilities.
    case logProbabilities = "log-probabilities"
    /// Independent numbers between 0 and 1.
    case sigmoids
    /// Anything else: embeddings, coordinates, images.
    case values
}

/// The form of an output as the graph tells it.
public struct TracedForm: Sendable, Hashable {
    /// The form.
    public let form: OutputForm
    /// The dimension of the classes, counted from the last one (−1), where the way to the output keeps it known.
    let axis: Int?

    /// Follows an output back to what made it: through layers that hand numbers on as they are (casts, reshapes,
    /// clipping, slices, joining parts of one form), to a softmax, a sigmoid or a linear layer, or to one that is
    /// written out as `Exp`, `ReduceSum` and `Div`.
    ///
    /// - Parameter value: the output's index among the graph's values.
    public init(of value: Int, in graph: Graph) {
        var trace = FormTrace(graph: graph)
        self = trace.form(of: value)
    }

    fileprivate init(_ form: OutputForm, axis: Int? = nil) { (self.form, self.axis) = (form, axis) }

    /// Whether what a layer gives is of the form of what it reads.
    static func survives(_ vertex: Vertex) -> Bool {
        FormTrace.unchanged.union(FormTrace.rearranging).union(["Transpose", "Concat"]).contains(
            vertex.operation)
    }
}

/// The way back from an output.
private struct FormTrace {
    let graph: Graph
    /// Values still to be looked at: a joined output has many parts, and parts of parts.
    private var allowance = 1_000

    init(graph: Graph) { self.graph = graph }

    /// Layers that neither change numbers nor move them among dimensions of known length.
    static let unchanged: Set<String> = [
        "Identity", "Cast", "Clip", "Dropout", "DequantizeLinear", "QuantizeLinear",
    ]
    /// Layers that only lay out numbers anew, leave some away, or take means of some.
    static let rearranging: Set<String> = [
        "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Split", "Gather", "Resize", "Upsample",
        "GlobalAveragePool", "AveragePool", "ReduceMean",
    ]
    /// Layers with weights whose results are taken for logits.
    private static let linear: Set<String> = ["Gemm", "MatMul", "Conv", "ConvTranspose", "MatMulInteger"]

    mutating func form(of value: Int) -> TracedForm {
        allowance -= 1
        guard allowance > 0, let producer = graph.values[value].producer else { return TracedForm(.values) }
        let vertex = graph.vertices[producer]
        switch vertex.operation {
        case "Softmax": return TracedForm(.probabilities, axis: softmaxAxis(vertex))
        case "LogSoftmax": return TracedForm(.logProbabilities, axis: softmaxAxis(vertex))
        case "Sigmoid", "HardSigmoid": return TracedForm(.sigmoids)
        case let name where FormTrace.unchanged.contains(name):
            return first(of: vertex).map { form(of: $0) } ?? TracedForm(.values)
        case let name where FormTrace.rearranging.contains(name):
            guard let input = first(of: vertex) else { return TracedForm(.values) }
            return TracedForm(form(of: input).form)
        case "Transpose":
            guard let input = first(of: vertex) else { return TracedForm(.values) }
            let found = form(of: input)
            guard let permutation = try? vertex.node.ints("perm"), let axis = found.axis,
                let place = permutation.firstIndex(of: axis + permutation.count)
            else { return TracedForm(found.form) }
            return TracedForm(found.form, axis: place - permutation.count)
        case "Concat":
            let forms = vertex.inputs.compactMap { $0 }.map { form(of: $0).form }
            guard let form = forms.first, forms.allSatisfy({ $0 == form }) else { return TracedForm(.values) }
            return TracedForm(form)
        case "Log":
            guard let input = first(of: vertex) else { return TracedForm(.values) }
            let found = form(of: input)
            return found.form == .probabilities
                ? TracedForm(.logProbabilities, axis: found.axis) : TracedForm(.values)
        case "Div": return quotient(vertex)
        case "Reciprocal":
            return first(of: vertex).map(isOnePlusExponential) == true
                ? TracedForm(.sigmoids) : TracedForm(.values)
        case "Sub":
            return isLogarithmOfSum(vertex) ? TracedForm(.logProbabilities) : TracedForm(.values)
        case "Add":
            // A linear layer's bias.
            let varying = vertex.inputs.compactMap { $0 }.filter { graph.values[$0].dependsOnData }
            guard varying.count == 1, vertex.inputs.count == 2 else { return TracedForm(.values) }
            return form(of: varying[0]).form == .logits ? TracedForm(.logits) : TracedForm(.values)
        case let name where FormTrace.linear.contains(name):
            // A product of two computed values, as in attention, is no layer with weights.
            let hasWeights = vertex.inputs.contains { $0.map { !graph.values[$0].dependsOnData } ?? false }
            return TracedForm(hasWeights ? .logits : .values)
        default: return TracedForm(.values)
        }
    }

    private func first(of vertex: Vertex) -> Int? { vertex.inputs.first ?? nil }

    /// Before operator set 13 a softmax went over all dimensions from its axis on, which is the last one only if that
    /// says so.
    private func softmaxAxis(_ vertex: Vertex) -> Int? {
        guard let axis = try? vertex.node.int("axis", default: vertex.version >= 13 ? -1 : 1) else {
            return nil
        }
        return axis < 0 ? axis : rank(of: vertex.inputs.first ?? nil).map { axis - $0 }
    }

    /// The rank of a model output, for which alone it is declared.
    private func rank(of value: Int?) -> Int? {
        guard let value else { return nil }
        let reached = Set(
            graph.consumers[value].flatMap { graph.vertices[$0.node].outputs.compactMap { $0 } })
        return graph.outputs.first { $0.hasShape && ($0.value == value || reached.contains($0.value)) }?.shape
            .count
    }

    /// exp(x) / Σ exp(x), or 1 / (1 + exp(−x)).
    private func quotient(_ vertex: Vertex) -> TracedForm {
        guard vertex.inputs.count == 2, let over = vertex.inputs[0], let under = vertex.inputs[1] else {
            return TracedForm(.values)
        }
        let (numerator, denominator) = (origin(of: over), origin(of: under, spreads: true))
        if operation(of: numerator) == "Exp", let sum = vertexMaking(denominator),
            ["ReduceSum", "ReduceL1"].contains(sum.operation), let summed = first(of: sum),
            origin(of: summed) == numerator
        {
            return TracedForm(.probabilities)
        }
        return !graph.values[over].dependsOnData && isOnePlusExponential(under)
            ? TracedForm(.sigmoids) : TracedForm(.values)
    }

    private func isOnePlusExponential(_ value: Int) -> Bool {
        guard let sum = vertexMaking(origin(of: value)), sum.operation == "Add" else { return false }
        let varying = sum.inputs.compactMap { $0 }.filter { graph.values[$0].dependsOnData }
        return varying.count == 1 && operation(of: origin(of: varying[0])) == "Exp"
    }

    /// x − log Σ exp(x), with or without the largest element taken off first.
    private func isLogarithmOfSum(_ vertex: Vertex) -> Bool {
        guard vertex.inputs.count == 2, let minuend = vertex.inputs[0], let subtrahend = vertex.inputs[1],
            let last = vertexMaking(origin(of: subtrahend, spreads: true)), let inner = first(of: last)
        else { return false }
        let scores = origin(of: minuend)
        switch last.operation {
        case "ReduceLogSumExp": return origin(of: inner) == scores
        case "Log":
            guard let sum = vertexMaking(origin(of: inner, spreads: true)), sum.operation == "ReduceSum",
                let summed = first(of: sum), let power = vertexMaking(origin(of: summed)),
                power.operation == "Exp", let exponent = first(of: power)
            else { return false }
            return origin(of: exponent) == scores
        default: return false
        }
    }

    private func vertexMaking(_ value: Int) -> Vertex? {
        graph.values[value].producer.map { graph.vertices[$0] }
    }

    private func operation(of value: Int) -> String? { vertexMaking(value)?.operation }

    /// The value before casts, clipping and the like.
    ///
    /// - Parameter spreads: whether it may be spread over a dimension afterwards, as a sum is before all are divided by it.
    private func origin(of value: Int, spreads: Bool = false) -> Int {
        var value = value
        while let vertex = vertexMaking(value), let input = vertex.inputs.first ?? nil,
            FormTrace.unchanged.contains(vertex.operation)
                || spreads && FormTrace.spreading.contains(vertex.operation)
        {
            value = input
        }
        return value
    }

    /// Layers that repeat numbers or lay them out anew.
    private static let spreading: Set<String> = ["Reshape", "Expand", "Unsqueeze", "Squeeze", "Tile"]
}

extension Graph {
    /// Where the numbers of an output of shares are before the casts at its end round them to float16 or bfloat16, in
    /// which a small probability is one of a few steps, or 0. Other outputs, and those without such casts, are measured
    /// as they are.
    ///
    /// No mask can come between: without an edge into these casts the output depends on no input.
    func beforeRounding(_ value: Int, _ form: OutputForm) -> Int {
        guard form == .probabilities || form == .sigmoids || form == .logProbabilities else { return value }
        var (origin, isRounded) = (value, false)
        while let producer = values[origin].producer,
            ["Cast", "Identity"].contains(vertices[producer].operation),
            let input = vertices[producer].inputs.first ?? nil, values[input].elementType.isFloatingPoint
        {
            let type = values[origin].elementType
            if type == .float16 || type == .bfloat16 { isRounded = true }
            origin = input
        }
        return isRounded ? origin : value
    }
}
