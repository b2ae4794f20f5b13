import Testing

@testable import Files

@Suite struct SuggestionTests {
    // Worked out by hand; "ca" to "abc" is 3 by optimal string alignment.
    @Test(arguments: [
        ("", "", 0), ("abc", "abc", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "adc", 1), ("abc", "acb", 1),
        ("kitten", "sitting", 3), ("ca", "abc", 3), ("beem", "beam", 1),
    ])
    func theDistanceCountsChangesAndSwaps(first: String, second: String, distance: Int) {
        #expect(Suggestion.distance(first, second) == distance)
        #expect(Suggestion.distance(second, first) == distance)
    }

    @Test func theNearestNameIsSuggestedAndNoneThatIsFar() {
        let names = ["greedy", "beam", "exhaustive", "random"]
        #expect(Suggestion.nearest(to: "gredy", among: names) == "greedy")
        #expect(Suggestion.nearest(to: "Beam", among: names) == "beam")
        #expect(Suggestion.nearest(to: "randmo", among: names) == "random")
        #expect(Suggestion.nearest(to: "annealing", among: names) == nil)
        // Two letters are near to anything.
        #expect(Suggestion.nearest(to: "ax", among: ["by"]) == nil)
        #expect(Suggestion.text(for: "gredy", among: names) == "; did you mean 'greedy'?")
        #expect(Suggestion.text(for: "", among: names) == "")
    }
}
