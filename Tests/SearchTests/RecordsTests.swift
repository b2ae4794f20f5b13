import ComputationGraph
import Foundation
import Testing

@testable import Search

/// What a run's journal keeps of levels and of the run.
@Suite("Records of states and levels")
struct RecordsTests {
    private func state(_ nodes: [Int], loss: Double, objective: Double = 0.25, correct: Int? = 7) -> State {
        let units = nodes.map { Unit(Edge(node: $0, slot: 0), replacement: $0 % 2 == 0 ? .mean : .zero) }
        return State(
            variant: Variant(Mask(units)), unit: units.last, loss: loss, objective: objective,
            correct: correct,
            sampleLosses: [1, .nan, 2], cost: Cost(parameters: 12, flops: 34))
    }

    /// By JSON, as the journal writes it.
    private func readBack<Record: Codable>(_ record: Record) throws -> Record {
        let (encoder, decoder) = (JSONEncoder(), JSONDecoder())
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return try decoder.decode(Record.self, from: encoder.encode(record))
    }

    @Test("a state comes back to the bit, but for its samples' losses")
    func statesComeBack() throws {
        // 1/3 and 0.1 + 0.2 need all 17 digits; the third is the smallest subnormal.
        for loss in [1.0 / 3, 0.1 + 0.2, Double.leastNonzeroMagnitude, .infinity, -0.0] {
            let state = state([4, 3], loss: loss, objective: loss)
            let record = StateRecord(state)
            #expect(try readBack(record) == record)
            let read = try #require(try readBack(record).state)
            #expect(read.loss.bitPattern == loss.bitPattern && read.objective.bitPattern == loss.bitPattern)
            #expect(read.variant == state.variant && read.unit == state.unit && read.mask.count == 2)
            #expect(read.correct == 7 && read.cost == state.cost && read.nonFiniteLosses == 1)
            #expect(read.sampleLosses.isEmpty)
        }
        let base = try #require(try readBack(StateRecord(state([], loss: 0.5, correct: nil))).state)
        #expect(base.unit == nil && base.correct == nil && base.mask.isEmpty)
    }

    @Test("the loss before a recovery comes back with the recovery")
    func recoveredStatesComeBack() throws {
        let unit = Unit(Edge(node: 4, slot: 0))
        var state = State(
            variant: Variant(Mask([unit]), recovery: Recovery([.leastSquares, .norm], ridge: 0.1)),
            unit: unit,
            loss: 0.5, objective: 0.25, correct: 7, sampleLosses: [], cost: Cost(parameters: 12, flops: 34))
        for loss in [nil, 1.0 / 3, .infinity] {
            state.lossAtCut = loss
            let read = try #require(try readBack(StateRecord(state)).state)
            #expect(read.lossAtCut?.bitPattern == loss?.bitPattern && read.variant == state.variant)
        }
    }

    @Test("a record whose texts are no variant or no unit is no state")
    func wrongTextsAreNoState() throws {
        let text = String(
            decoding: try JSONEncoder().encode(StateRecord(state([3], loss: 0.5))), as: UTF8.self)
        for (old, new) in [(#""{3:0}""#, #""{3:0""#), (#""3:0""#, #""3""#)] {
            let damaged = text.replacing(old, with: new)
            try #require(damaged != text)
            #expect(try JSONDecoder().decode(StateRecord.self, from: Data(damaged.utf8)).state == nil)
        }
    }

    @Test("a level's notes have its work, and what was dropped in the masks' order")
    func notesComeBack() throws {
        var work = WorkCount()
        work.candidates = 18
        work.blockEvaluations = 71
        work.bruteForceBlockEvaluations = 576
        work.oracleBlockEvaluations = 60
        work.tasks = 9
        let (early, late) = (Mask([Edge(node: 2, slot: 0)]), Mask([Edge(node: 9, slot: 1)]))
        let notes = try readBack(
            LevelNotes(
                LevelOutcome(
                    best: [], work: work, dropped: [(late, 1.0 / 7), (early, .infinity)], likely: [])))
        #expect(notes.work == work)
        #expect(notes.dropped.map(\.mask) == [early, late])
        #expect(notes.dropped.map(\.bound) == [.infinity, 1.0 / 7])
    }

    @Test("a run's outcome has its path, time and workers")
    func outcomesComeBack() throws {
        let outcome = RunOutcome(path: [state([1], loss: 0.1 + 0.2)], seconds: 12.5, workers: 3)
        let read = try readBack(outcome)
        #expect(read == outcome)
        #expect(read.path.map(\.loss) == [0.1 + 0.2] && read.path.map(\.unit) == ["1:0"])
        #expect(read.seconds == 12.5 && read.workers == 3)
    }
}
