import ComputationGraph
import Datasets
import Engine

extension Evaluator {
    /// The losses of expansions without hints, in a search whose stages are the numbers of removals.
    func evaluate(state: Mask, samples: [Int], expansions: [Unit?]) throws -> [SampleScores] {
        try evaluate(
            state: state, samples: samples, expansions: expansions, reuseHints: [], stage: state.count)
    }
}
