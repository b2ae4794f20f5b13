internal import Foundation

/// The exact confidence interval for a share, of which a random sample has shown some (Clopper and Pearson, "The use of
/// confidence or fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934).
///
/// Covers the true share with at least the confidence asked for, whatever the share is; for a sample without
/// replacement, as here, with more.
///
/// ```swift
/// BinomialInterval(found: 0, of: 8)  // 0 … 0.369
/// ```
public struct BinomialInterval: Sendable, Hashable {
    /// The smallest share that what was found is not too many for.
    public let lower: Double
    /// The largest share that what was found is not too few for.
    public let upper: Double

    /// - Parameters:
    ///   - found: how many of the sample have what is counted.
    ///   - count: the sample's size; with 0 nothing is known.
    ///   - confidence: the probability of covering the true share, between 0 and 1.
    public init(found: Int, of count: Int, confidence: Double = 0.95) {
        precondition(0...count ~= found && 0 < confidence && confidence < 1, "a part of a sample")
        let tail = (1 - confidence) / 2
        // P(X ≥ found) grows with the share, P(X ≤ found) falls.
        lower =
            found == 0
            ? 0
            : BinomialInterval.share(upTo: { 1 - BinomialInterval.atMost(found - 1, of: count, $0) < tail })
        upper =
            found == count
            ? 1 : BinomialInterval.share(upTo: { BinomialInterval.atMost(found, of: count, $0) > tail })
    }

    /// The share up to which `holds` is true, by bisection.
    private static func share(upTo holds: (Double) -> Bool) -> Double {
        var (low, high) = (0.0, 1.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if holds(middle) { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    /// P(X ≤ found) for a binomial X of `count` tries with probability `share`, strictly between 0 and 1.
    private static func atMost(_ found: Int, of count: Int, _ share: Double) -> Double {
        func logFactorial(_ number: Int) -> Double { lgamma(Double(number) + 1) }
        return (0...found).reduce(0) { sum, number in
            let ways = logFactorial(count) - logFactorial(number) - logFactorial(count - number)
            return sum + exp(ways + Double(number) * log(share) + Double(count - number) * log1p(-share))
        }
    }
}
