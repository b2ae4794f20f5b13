import Testing

@testable import Search

@Suite("A canonical sum")
struct CanonicalSumTests {
    @Test("has at any time the bits of adding all entries from left to right, whatever came first")
    func isTheSameSum() {
        var random = SplitMix64(seed: 31)
        for count in [1, 2, 7, 40] {
            for _ in 0..<50 {
                var entries = [Double](repeating: 0, count: count)
                var sum = CanonicalSum(count: count)
                for index in (0..<count).shuffled(using: &random) {
                    let value = [1e30, 1, 1e-30, 0, .leastNonzeroMagnitude, 16_777_216, .infinity]
                        .randomElement(using: &random)!
                    entries[index] = value * Double.random(in: 0.1..<1, using: &random)
                    sum.set(entries[index], at: index)
                    #expect(sum.total.bitPattern == entries.reduce(0, +).bitPattern)
                }
            }
        }
    }
}
