/// What one sample list gave under one mask.
public struct SampleScores: Sendable, Hashable {
    /// One loss per sample, never negative; NaN or infinite where the model's outputs are.
    public var losses: [Float]
    /// Correctly predicted labels per sample; empty for losses without labels.
    public var correct: [UInt32]

    /// Scores of samples in the order of the block.
    public init(losses: [Float], correct: [UInt32]) {
        self.losses = losses
        self.correct = correct
    }
}
