internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Search

/// Gate derivatives over all the data, or some blocks of it: block by block in canonical order, summed in Float64, so that memory stays
/// bounded and the result is the same every time.
struct GateMeasurement {
    /// Which second derivatives are wanted.
    enum Curvature { case none, hessian, gaussNewton }

    let edges: [Edge]
    /// ∂L/∂z_e. Where there is no gradient, minus the measured change takes its place.
    private(set) var gradients: [Double]
    /// The weighted mean of (∂l_n/∂z_e)²; `nil` unless asked for.
    private(set) var squares: [Double]?
    /// ∂²L/∂z_e∂z_f or its approximation; empty unless asked for.
    private(set) var matrix: [[Double]]
    /// The edges whose influence their gradients do not show, and why.
    private(set) var gaps: [NonDifferentiablePath] = []

    private let state: Mask

    /// - Parameters:
    ///   - state: what is removed already: derivatives are those of the pruned model.
    ///   - blocks: the samples to measure on, block by block; all of them unless given.
    /// - Throws: `EngineError` or libtorch's error where an operator has no derivative at all.
    init(
        _ workload: Workload, edges: [Edge], at state: Mask = .empty, curvature: Curvature = .none,
        wantsSquares: Bool = false,
        blocks: [[Int]]? = nil, interruption: Interruption? = nil, observer: (any PruneObserver)? = nil
    ) throws {
        self.edges = edges
        self.state = state
        gradients = edges.map { _ in 0 }
        squares = wantsSquares ? edges.map { _ in 0 } : nil
        matrix = curvature == .none ? [] : edges.map { _ in edges.map { _ in 0 } }
        let gates = try GateEvaluator(
            workload.network, dataset: workload.dataset, loss: workload.loss, edges: edges, state: state)
        let evaluator = try workload.evaluator()
        let division = workload.division
        let blocks = blocks ?? BlockList(naturalOrder: division).samples
        let work = CountedWork(
            curvature == .none ? "gradients" : "gradients and curvature", unit: "blocks",
            total: blocks.count, observer: observer)
        for (number, samples) in blocks.enumerated() {
            work.advanced(to: number)
            try interruption?.check()
            let weights = samples.map { division.weights[$0] }
            var totals: [Double?]
            var columns: [[Double]?]?
            switch curvature {
            case .none:
                let found = try gates.gradients(samples: samples, weights: weights, perSample: wantsSquares)
                (totals, columns) = (found.totals, found.perSample)
            case .hessian, .gaussNewton:
                let found =
                    curvature == .hessian
                    ? try gates.hessian(samples: samples, weights: weights)
                    : try gates.gaussNewton(samples: samples, weights: weights)
                totals = found.gradient
                for row in edges.indices {
                    for column in edges.indices { matrix[row][column] += found.matrix[row][column] }
                }
            }
            if number == 0 {
                gaps = try gates.gaps(
                    in: totals, curvatures: curvature == .none ? nil : edges.indices.map { matrix[$0][$0] },
                    samples: samples)
            }
            try replaceGaps(
                in: &totals, &columns, samples: samples, weights: weights, evaluator: evaluator)
            add(totals, columns, weights: weights)
        }
        divide(by: blocks.joined().reduce(0) { $0 + Double(division.weights[$1]) })
    }

    /// Puts the measured per-sample changes, negated, where there is no gradient: removing the edge sets its gate from
    /// 1 to 0, so they are the slope of the secant.
    private func replaceGaps(
        in totals: inout [Double?], _ columns: inout [[Double]?]?, samples: [Int], weights: [Float],
        evaluator: Evaluator
    ) throws {
        guard !gaps.isEmpty else { return }
        let scores = try evaluator.evaluate(
            state: state, samples: samples, expansions: [nil] + gaps.map { Unit($0.edge) },
            reuseHints: [], stage: state.count)
        for (gap, pruned) in zip(gaps, scores.dropFirst()) {
            guard let position = edges.firstIndex(of: gap.edge) else { continue }
            let slopes = zip(scores[0].losses, pruned.losses).map { Double($0) - Double($1) }
            totals[position] = zip(slopes, weights).reduce(0) { $0 + $1.0 * Double($1.1) }
            columns?[position] = slopes
        }
    }

    private mutating func add(_ totals: [Double?], _ columns: [[Double]?]?, weights: [Float]) {
        for position in edges.indices {
            gradients[position] += totals[position] ?? .nan
            guard let columns else { continue }
            squares?[position] +=
                columns[position].map { column in
                    zip(column, weights).reduce(0) { $0 + $1.0 * $1.0 * Double($1.1) }
                } ?? .nan
        }
    }

    private mutating func divide(by weight: Double) {
        gradients = gradients.map { $0 / weight }
        squares = squares?.map { $0 / weight }
        matrix = matrix.map { $0.map { $0 / weight } }
        // A gap has no curvature of its own: its secant holds all of the change.
        for gap in gaps {
            guard let position = edges.firstIndex(of: gap.edge) else { continue }
            for other in matrix.indices {
                matrix[position][other] = 0
                matrix[other][position] = 0
            }
        }
    }
}
