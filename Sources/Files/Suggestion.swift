/// What somebody may have meant who wrote a name that there is not.
public enum Suggestion {
    /// The most characters that have to be added, left out, changed or swapped with a neighbour.
    private static let farthest = 2

    /// The nearest of some names, as the end of a sentence: `; did you mean 'beam'?`, or nothing where none is near.
    public static func text(for word: String, among names: some Sequence<String>) -> String {
        nearest(to: word, among: names).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// The nearest of some names; `nil` where none is near. Of equally near ones the first.
    public static func nearest(to word: String, among names: some Sequence<String>) -> String? {
        // A name of a few letters is near to anything.
        let limit = min(farthest, max(1, word.count / 3))
        let near = names.map { ($0, distance(word.lowercased(), $0.lowercased())) }.filter { $0.1 <= limit }
        return near.min { $0.1 < $1.1 }?.0
    }

    /// The optimal string alignment distance: a swap of neighbours counts as one change.
    static func distance(_ first: String, _ second: String) -> Int {
        let (left, right) = (Array(first), Array(second))
        var rows = [Array(0...right.count)]
        for (place, letter) in left.enumerated() {
            var row = [place + 1]
            for (other, wanted) in right.enumerated() {
                var best = min(row[other] + 1, rows[place][other + 1] + 1)
                best = min(best, rows[place][other] + (letter == wanted ? 0 : 1))
                if place > 0, other > 0, letter == right[other - 1], left[place - 1] == wanted {
                    best = min(best, rows[place - 1][other - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
