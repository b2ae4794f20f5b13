/// The sum of a list's entries from left to right, entries that are not known counting as 0, kept up to date as they
/// become known in any order.
///
/// Always the bits of `entries.reduce(0, +)`, without adding all of it again: what comes after the last entry that is
/// known are zeros, which change nothing.
struct CanonicalSum: Sendable {
    private(set) var entries: [Double]
    /// The sum of the entries up to and including each; valid as far as `last`.
    private var running: [Double]
    private var last = -1

    init(count: Int) {
        entries = [Double](repeating: 0, count: count)
        running = entries
    }

    var total: Double { last < 0 ? 0 : running[last] }

    /// Sets an entry, which is not negative.
    mutating func set(_ value: Double, at index: Int) {
        entries[index] = value
        let end = max(last, index)
        var place = min(index, last + 1)
        var sum = place == 0 ? 0 : running[place - 1]
        while place <= end {
            sum += entries[place]
            running[place] = sum
            place += 1
        }
        last = end
    }
}
