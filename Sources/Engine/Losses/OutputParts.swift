internal import ComputationGraph
internal import Torch

/// The pieces of an output that the model joins at its end from numbers of several kinds, as detectors join boxes and
/// scores: each wants a loss of its own, for among the numbers of the largest nobody would see the others'.
struct OutputParts {
    /// A run of positions along a dimension, and what its numbers are.
    struct Part: Hashable {
        let count: Int
        let form: OutputForm
    }

    /// The dimension, counted from the front as the model has it.
    let axis: Int
    /// In order; at least two, of at least two forms.
    let parts: [Part]

    /// The positions of the parts.
    var ranges: [Range<Int>] {
        var upper = 0
        return parts.map { part in
            upper += part.count
            return upper - part.count..<upper
        }
    }

    /// More pieces than this are no kinds of numbers.
    private static let most = 16

    /// - Parameters:
    ///   - value: the output's index among the graph's values.
    ///   - shapes: the shape of every value at some sizes.
    ///   - skipping: the dimension of the samples.
    init?(of value: Int, in graph: Graph, shapes: [[Int]?], skipping: Int?) {
        guard let shape = shapes[value], shape.count > 1 else { return nil }
        for axis in shape.indices where axis != skipping && shape[axis] > 1 {
            var walk = PartWalk(graph: graph, shapes: shapes)
            let parts = walk.parts(of: value, along: axis)
            guard (2...OutputParts.most).contains(parts.count), Set(parts.map(\.form)).count > 1,
                parts.reduce(0, { $0 + $1.count }) == shape[axis]
            else { continue }
            (self.axis, self.parts) = (axis, parts)
            return
        }
        return nil
    }
}

/// The way back from an output along one of its dimensions.
private struct PartWalk {
    let graph: Graph
    let shapes: [[Int]?]
    private var allowance = 1_000

    init(graph: Graph, shapes: [[Int]?]) { (self.graph, self.shapes) = (graph, shapes) }

    mutating func parts(of value: Int, along axis: Int) -> [OutputParts.Part] {
        allowance -= 1
        guard let count = shapes[value]?[axis] else { return [] }
        // What a linear layer gives beside other numbers may be coordinates as well as logits.
        let form = TracedForm(of: value, in: graph).form
        let whole = [OutputParts.Part(count: count, form: form == .logits ? .values : form)]
        guard allowance > 0, let producer = graph.values[value].producer else { return whole }
        let vertex = graph.vertices[producer]
        guard TracedForm.survives(vertex), let map = graph.axisMap(of: vertex, shapes: shapes),
            let place = vertex.outputs.firstIndex(of: value), let written = map.outputs[place],
            written.indices.contains(axis)
        else { return whole }
        var found: [[OutputParts.Part]] = []
        for part in written[axis].parts {
            // The inputs that have these positions, alone along one of their dimensions.
            let sources = vertex.inputs.indices.compactMap { slot -> (Int, Int)? in
                guard let input = vertex.inputs[slot], let read = map.inputs[slot] else { return nil }
                return read.firstIndex { $0.parts == [part] }.map { (input, $0) }
            }
            let each = sources.map { parts(of: $0.0, along: $0.1) }
            // Those that are joined along another dimension have to agree.
            guard let first = each.first, Set(each).count == 1 else { return whole }
            found.append(first)
        }
        return found.flatMap { $0 }
    }
}

// MARK: What numbers show

extension OutputForm {
    /// A form that the graph tells, where some numbers do not deny it.
    static func shown(by numbers: Tensor, traced: OutputForm, along axis: Int, _ tolerance: Double) throws
        -> OutputForm
    {
        switch traced {
        case .logits, .values: return .values
        case .logProbabilities:
            return try exponential(.tensor(numbers)).sumsToOne(along: axis, tolerance) ? traced : .values
        case .probabilities, .sigmoids:
            guard try numbers.areShares(tolerance) else { return .values }
            return try traced == .probabilities && numbers.sumsToOne(along: axis, tolerance)
                ? .probabilities : .sigmoids
        }
    }
}

extension Tensor {
    /// Whether all numbers are between 0 and 1.
    func areShares(_ tolerance: Double) throws -> Bool {
        let numbers: [Double] = try elements(as: Double.self)
        return numbers.allSatisfy { !$0.isFinite || ($0 >= -tolerance && $0 <= 1 + tolerance) }
    }

    /// Whether the numbers along a dimension sum to 1 everywhere.
    func sumsToOne(along dimension: Int, _ tolerance: Double) throws -> Bool {
        let sums: [Double] = try converted(to: .float64).summed(over: [dimension]).elements()
        return sums.allSatisfy { !$0.isFinite || abs($0 - 1) <= max(tolerance, 1e-3) }
    }
}

private let exponential = Operation("aten::exp")
