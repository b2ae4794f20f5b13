internal import Engine
internal import Search

/// What the words of a comparison mean, for whoever meets them in its report.
enum Glossary {
    /// What a loss is, without its name; `nil` for a sum of several.
    static func meaning(ofLoss name: String) -> String? {
        switch Loss(rawValue: name) {
        case .crossEntropy:
            "the negative logarithm of the probability that the model gives to the right class"
        case .nextToken: "the negative logarithm of the probability that the model gives to the next token"
        case .meanSquaredError: "the squared difference from the targets"
        case .meanAbsoluteError: "the absolute difference from the targets"
        case .binaryCrossEntropy:
            "the binary cross-entropy: the negative logarithm of the probability that the model gives to each yes or no"
        case .cosine: "1 − the cosine of the angle to the targets"
        case .klDivergence:
            "the Kullback-Leibler divergence from the unpruned model's probabilities to the pruned one's"
        case .selfMeanSquaredError: "the squared difference from the unpruned model's outputs"
        case .selfMeanAbsoluteError: "the absolute difference from the unpruned model's outputs"
        case .selfBinaryCrossEntropy:
            "the Kullback-Leibler divergence from the unpruned model's yes-or-no probabilities to the pruned one's"
        case .selfCosine: "1 − the cosine of the angle to the unpruned model's outputs"
        case nil: nil
        }
    }

    /// What a strategy does, with the recovery that is its own.
    static func meaning(ofStrategy name: String) -> String {
        guard let contestant = Contestant(name) else { return "" }
        let strategy = meaning(of: contestant.strategy)
        guard let rungs = contestant.rungs else { return strategy }
        return strategy
            + (rungs.adaptsNothing
                ? "; nothing adapts to its removals" : "; adapts to its removals by \(rungs)")
    }

    private static func meaning(of strategy: ComparedStrategy) -> String {
        switch strategy {
        case .search(.greedy): "removes at each step what changes the exact loss least"
        case .search(.beam(let width)):
            "keeps the \(width) best states of each step, and removes from each of them what changes the exact loss least"
        case .search(.exhaustive): "measures every set of removals, and keeps the best of each size"
        case .search(.random), .randomSeeds:
            "removes at random, and measures what is left: the baseline that others have to beat"
        case .search(.ranked): "removes in an order that was fixed beforehand"
        case .greedyAtCut:
            "removes what changes the loss before the recovery least; its states are then measured after it"
        case .oneShot(let criterion):
            "scores all edges of the unpruned model once by \(meaning(of: criterion)), and removes them in that order"
        }
    }

    private static func meaning(of criterion: Criterion) -> String {
        switch criterion {
        case .taylor1: "the first Taylor term of the loss, a gradient"
        case .taylor2: "two Taylor terms of the loss, with the Hessian's diagonal"
        case .taylor2Full: "two Taylor terms of the loss, with each edge's share of the whole Hessian"
        case .gaussNewton: "two Taylor terms of the loss, with the Gauss-Newton matrix for the Hessian"
        case .fisher: "the empirical Fisher information, from squared gradients"
        case .flow: "the information that passes each of them, without labels or gradients"
        case .magnitude: "the norm of the weights that feed each of them"
        case .synflow: "the sensitivity of the outputs to each of them, without data"
        case .random: "random numbers"
        }
    }
}
