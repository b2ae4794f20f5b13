public import ComputationGraph
internal import Torch

/// An edge whose influence on the loss its gate gradient does not show.
public struct NonDifferentiablePath: Sendable, Hashable, CustomStringConvertible {
    /// The edge.
    public let edge: Edge
    /// The vertex where the gradient ends, with its name and operator; `nil` when it could not be found.
    public let vertex: Int?
    /// What is wrong, e.g. `node 14 (Round_3, Round) passes no gradient`.
    public let reason: String

    /// Edge and reason.
    public var description: String { "edge \(edge): \(reason)" }
}

extension GateEvaluator {
    /// The edges that gate gradients are silent about, found by what came back for one block.
    ///
    /// - Parameters:
    ///   - totals: the block's gradients.
    ///   - curvatures: the diagonal of the block's second derivatives, where there are any.
    ///   - samples: the block; its first sample is run again where a gradient is missing, to find out where it ends.
    public func gaps(in totals: [Double?], curvatures: [Double]? = nil, samples: [Int]) throws
        -> [NonDifferentiablePath]
    {
        var gaps: [NonDifferentiablePath] = []
        for (index, (edge, total)) in zip(edges, totals).enumerated() {
            if total == nil {
                let vertex = try lastRecordedReader(of: edge, sample: samples[0])
                gaps.append(gap(edge, vertex))
            } else if let total, !total.isFinite {
                gaps.append(
                    NonDifferentiablePath(edge: edge, vertex: nil, reason: "its gate gradient is not finite"))
            } else if let curvatures, !curvatures[index].isFinite {
                gaps.append(
                    NonDifferentiablePath(
                        edge: edge, vertex: nil, reason: "its second derivative is not finite"))
            } else if total == 0, let vertex = barrier(after: edge) {
                gaps.append(gap(edge, vertex))
            }
        }
        return gaps
    }

    private func gap(_ edge: Edge, _ index: Int?) -> NonDifferentiablePath {
        guard let index else {
            return NonDifferentiablePath(edge: edge, vertex: nil, reason: "no gradient reaches it")
        }
        let vertex = network.graph.vertices[index]
        return NonDifferentiablePath(
            edge: edge, vertex: index,
            reason: "node \(index) (\(vertex.name), \(vertex.operation)) passes no gradient")
    }

    /// The first vertex of those that end every path from `edge` to an output with a step function; `nil` when a path
    /// is free of them.
    private func barrier(after edge: Edge) -> Int? {
        let graph = network.graph
        let outputs = Set(graph.outputs.map(\.value))
        let cuts = Cuts(state, in: graph)
        var seen: Set<Int> = [edge.node]
        var frontier = [edge.node]
        var first: Int?
        while let index = frontier.popLast() {
            if Operators.traits(of: graph.vertices[index].operation).isStepFunction {
                first = min(first ?? index, index)
                continue
            }
            for output in graph.vertices[index].outputs {
                guard let output else { continue }
                if outputs.contains(output) { return nil }
                for reader in graph.consumers[output]
                where !cuts.contains(reader.node, reader.slot) && seen.insert(reader.node).inserted {
                    frontier.append(reader.node)
                }
            }
        }
        return first
    }

    /// Runs one sample with a gate on `edge` alone, and finds the first vertex that reads something recorded and
    /// gives nothing recorded.
    private func lastRecordedReader(of edge: Edge, sample: Int) throws -> Int? {
        let fixed = network.graph.fixedSamples(dataset) ?? 1
        let inputs = try inputs(Array(repeating: sample, count: fixed))
        let gates = try Gates(on: [edge], axes: [nil], samples: fixed)
        var found: Int?
        try TorchRuntime.withGradients {
            var activations = try activations(of: inputs)
            var reads = false
            try activations.compute(
                terms.outputs, mask: state,
                recording: Activations.Recording(
                    gates: gates,
                    before: { _, inputs in reads = try inputs.contains { try $0?.isRecorded ?? false } },
                    after: { step, outputs in
                        let gives = try outputs.contains { try $0?.isRecorded ?? false }
                        if reads && !gives && found == nil { found = step.vertex }
                    }))
        }
        return found
    }
}
