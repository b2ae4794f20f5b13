/// Losses that stand in the model itself.
extension OperatorFacts {
    static let losses: [String: OperatorFacts] = each(
        ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"], OperatorFacts())
}
