public import Datasets

/// The accuracy that a state has to keep (`--max-accuracy-drop`).
///
/// Counted in whole predictions, so that nothing rounds: a state keeps the accuracy when it misses at most so many of the
/// counted labels. Misses only grow with the blocks that are known, hence an expansion that has too many is out before
/// all of it is measured.
public struct AccuracyFloor: Sendable, Hashable {
    /// The labels that count.
    private let counted: LabelCounts
    /// The most labels that may be missed, over all samples.
    public let missesAllowed: Int

    /// The floor below an unpruned model.
    ///
    /// - Parameters:
    ///   - drop: by how much the share of correct predictions may fall, 0 to 1.
    ///   - correct: the unpruned model's correct predictions.
    ///   - counted: the labels that count.
    public init(drop: Double, below correct: Int, of counted: LabelCounts) {
        self.counted = counted
        let total = counted.total
        // 0.29 of 100 labels is 28.999999999999996: meant are 29.
        let lost = (drop * Double(total) + 1e-9).rounded(.down)
        missesAllowed = total - correct + Int(min(max(lost, 0), Double(total)))
    }

    /// The labels of a block's samples that were missed.
    func misses(_ correct: [UInt32], samples: [Int]) -> Int {
        counted.misses(correct, samples: samples)
    }
}
