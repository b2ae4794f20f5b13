import ComputationGraph
import Testing

@testable import Engine

@Suite("Operator descriptions") struct OperatorDescriptionTests {
    @Test("every operator that the engine computes is described in ComputationGraph")
    func described() {
        let missing = Operators.builders.keys.filter { OperatorFacts.all[$0] == nil }.sorted()
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test("traits belong to operators that have a kernel")
    func traits() {
        for family in Operators.families {
            let missing = family.traits.keys.filter { family.builders[$0] == nil }
            #expect(missing.isEmpty, "\(missing)")
        }
    }
}
