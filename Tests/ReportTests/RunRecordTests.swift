import ComputationGraph
import Datasets
import Foundation
import Testing

@testable import Report
@testable import Search

/// Events with times, and what follows from them. All numbers are worked out by hand beside them.
@Suite("A run's record")
struct RunRecordTests {
    private static let first = Edge(node: 1, slot: 1)
    private static let second = Edge(node: 2, slot: 0)

    private let base = state([], loss: 0.5, correct: 40, parameters: 2000, flops: 1000)
    private let best = state([first], loss: 0.75, correct: 30, parameters: 1500, flops: 900)
    private let other = state([second], loss: 1, correct: 20, parameters: 1800, flops: 800)

    /// A record after these events, each with its time in seconds.
    private func record(_ events: [(Double, RunEvent)]) -> RunRecord {
        var record = RunRecord(version: "1", model: "a.onnx", data: "d.npz")
        for (time, event) in events { record.reduce(event, at: .seconds(time)) }
        return record
    }

    private func began(heldOut: HeldOutData? = nil) throws -> RunEvent {
        .began(try sampleSetup(heldOut: heldOut))
    }

    /// A race of a level; the first of its expansions removes `unit`.
    private func progress(
        _ level: Int, from unit: Edge? = nil, _ evaluations: Int, of most: Int, likely: Int = 0,
        tasks: Int = 1,
        running: Int = 1, of expansions: Int = 1, best: Double? = nil
    ) -> RunEvent {
        .advanced(
            LevelProgress(
                level: level, first: Variant(Mask(unit.map { [$0] } ?? [])), running: running,
                expansions: expansions, tasks: tasks, evaluations: evaluations, most: most, best: best,
                likelyLeft: likely))
    }

    // MARK: Rates and times

    @Test("tells rate and time left of a level from what was computed since it was first seen")
    func rate() throws {
        let record = record([
            (0, try began()), (2, progress(0, 5, of: 105, likely: 40)),
            (4, progress(0, 45, of: 105, likely: 30)),
        ])
        // 40 in the 2 s since the first results: 20/s. 60 are left at most, 30 likely.
        let status = record.status(at: .seconds(4))
        #expect(status.seconds == 4)
        #expect(status.rate == 20)
        #expect(status.levelSecondsLeft == 3)
        #expect(status.levelLikelySecondsLeft == 1.5)
        #expect(status.level?.blockEvaluations == 45)
        #expect(status.level?.likelyBlockEvaluationsLeft == 30)
        #expect(
            record.progress(at: .seconds(4))?.description
                == "measuring the unpruned model: 45 of about 75 block evaluations (60.0%), 20.0/s, about 1.5 s left"
        )
        // Nothing came in the next 2 s: 40 in 4 s.
        #expect(record.status(at: .seconds(6)).rate == 10)
    }

    @Test("gives no rate before half a second is measured")
    func shortRate() throws {
        let record = record([
            (0, try began()), (1, progress(1, 4, of: 100, likely: 90)),
            (1.5, progress(1, 50, of: 100, likely: 40)),
        ])
        #expect(record.status(at: .seconds(1.5)).rate == nil)
        #expect(record.status(at: .seconds(1.5)).levelSecondsLeft == nil)
        #expect(
            record.progress(at: .seconds(1.5))?.description
                == "step 1: 50 of about 90 block evaluations (55.6%); 0 of 1 candidate decided")
    }

    @Test("counts an estimate down by what was done since, and renews it after half a second")
    func estimate() throws {
        var record = record([
            (0, try began()), (1, progress(1, 10, of: 100, likely: 60)),
            (1.4, progress(1, 30, of: 100, likely: 1)),
        ])
        // 60 − (30 − 10); the 1 is not asked for yet.
        #expect(record.status(at: .seconds(1.4)).level?.likelyBlockEvaluationsLeft == 40)
        record.reduce(progress(1, 31, of: 100, likely: 7), at: .seconds(1.5))
        #expect(record.status(at: .seconds(1.5)).level?.likelyBlockEvaluationsLeft == 7)
    }

    @Test("measures the rate over the levels of the last half minute")
    func rateOverLevels() throws {
        let record = record([
            (0, try began()), (1, progress(0, 10, of: 10)),
            (1, .levelFinished(level: 0, states: [base], work: workCount(1, 10, 10, 10, 1))),
            (3, progress(1, from: Self.first, 10, of: 60, of: 3)),
            (5, progress(1, from: Self.first, 50, of: 60, tasks: 9, of: 3)),
        ])
        // The first results count from second 1 on: 10 and 40 since then, in 4 s.
        let status = record.status(at: .seconds(5))
        #expect(status.rate == 12.5)
        #expect(status.levelSecondsLeft == 0.8)  // 10 / 12.5
        #expect(status.blockEvaluations == 60)
    }

    @Test("of a resumed run takes no result of the earlier one for work of its own")
    func resumed() throws {
        let record = record([
            // Level 0 was kept whole and is not seen; of level 1 are 1,000 of 1,100 there.
            (0, try began()),
            (1, .levelFinished(level: 0, states: [base], work: workCount(1, 500, 500, 500, 100))),
            (2, progress(1, from: Self.first, 1000, of: 1100, likely: 80, tasks: 200, running: 4, of: 10)),
            (6, progress(1, from: Self.first, 1020, of: 1100, likely: 50, tasks: 204, running: 3, of: 10)),
        ])
        // 20 in 4 s.
        let status = record.status(at: .seconds(6))
        #expect(status.rate == 5)
        #expect(status.levelSecondsLeft == 16)
        #expect(status.levelLikelySecondsLeft == 10)
        #expect(status.finishedBlockEvaluations == 500)
        #expect(status.blockEvaluations == 1520)
        #expect(
            record.progress(at: .seconds(6))?.description
                == "step 1: 1,020 of about 1,070 block evaluations (95.3%), 5.00/s, about 10 s left; 7 of 10 candidates "
                + "decided")
    }

    @Test("adds up the two races of a level under a budget")
    func twoRaces() throws {
        var record = record([
            (0, try began()), (1, .levelFinished(level: 0, states: [base], work: workCount(1, 5, 5, 5, 1))),
            (1, progress(1, from: Self.first, 10, of: 30, likely: 5, running: 2, of: 3, best: 0.25)),
            (
                2,
                progress(1, from: Self.first, 20, of: 30, likely: 0, tasks: 2, running: 0, of: 3, best: 0.125)
            ),
            (2, progress(1, from: Self.second, 0, of: 50, likely: 30, tasks: 0, running: 5, of: 5)),
            (
                4,
                progress(1, from: Self.second, 40, of: 50, likely: 6, tasks: 4, running: 1, of: 5, best: 0.5)
            ),
        ])
        // 3 and 5 expansions, of which 3 and 4 are decided; 20 and 40 evaluations. The first race takes no more than it took.
        let status = record.status(at: .seconds(4))
        #expect(status.level?.expansions == 8)
        #expect(status.level?.decided == 7)
        #expect(status.level?.blockEvaluations == 60)
        #expect(status.level?.mostBlockEvaluations == 70)
        #expect(status.level?.likelyBlockEvaluationsLeft == 6)
        #expect(status.level?.best == 0.125)
        // 50 since the first results, in 3 s.
        #expect(status.rate == 50.0 / 3)
        #expect(
            record.progress(at: .seconds(4))?.description
                == "step 1: 60 of about 66 block evaluations (90.9%), 16.7/s, about 0.4 s left; 7 of 8 candidates decided"
        )

        // The last 5 came with the end: 55 in 5 s.
        let work = workCount(8, 65, 80, 60, 9)
        record.reduce(.levelFinished(level: 1, states: [best], work: work), at: .seconds(6))
        #expect(record.status(at: .seconds(6)).rate == 11)
        #expect(record.status(at: .seconds(6)).blockEvaluations == 70)
        #expect(record.progress(at: .seconds(6)) == nil)
    }

    @Test("takes a race that it never saw for an earlier run's")
    func unseenRace() throws {
        let record = record([
            (0, try began()),
            // Of the level's two races, of 3 and of 5 expansions, the second is seen alone.
            (2, progress(1, from: Self.second, 0, of: 50, likely: 30, tasks: 0, running: 5, of: 5)),
            (4, progress(1, from: Self.second, 40, of: 50, likely: 6, tasks: 4, running: 1, of: 5)),
            (4, .levelFinished(level: 1, states: [best], work: workCount(8, 65, 80, 60, 9))),
        ])
        #expect(record.status(at: .seconds(4)).rate == 20)  // 40 in 2 s
    }

    @Test("does not count a pause for the rate, and says why it waits")
    func pauses() throws {
        var record = record([
            (0, try began()), (1, progress(1, 0, of: 100, likely: 90, tasks: 0)), (2, .paused("no room")),
            (62, .paused("no room")),
        ])
        #expect(record.status(at: .seconds(80)).paused == "no room")
        #expect(record.status(at: .seconds(80)).rate == 0)  // nothing yet, in the second before the pause
        record.reduce(.resumed, at: .seconds(102))
        record.reduce(progress(1, 40, of: 100, likely: 20), at: .seconds(105))
        // Seconds 1 to 2 and 102 to 105.
        let status = record.status(at: .seconds(105))
        #expect(status.paused == nil)
        #expect(status.rate == 10)
        #expect(status.levelSecondsLeft == 6)
        #expect(status.seconds == 105)
        #expect(
            try #require(record.progress(at: .seconds(105))).description.contains("10.0/s, about 2.0 s left"))
    }

    @Test("forgets an earlier search when another one begins")
    func secondSearch() throws {
        let record = record([
            (0, try began()), (1, .workers([], count: 3)),
            (1, .levelFinished(level: 0, states: [base], work: workCount(1, 5, 5, 5, 1))),
            (2, .levelFinished(level: 1, states: [best], work: workCount(1, 5, 5, 5, 1))), (10, try began()),
        ])
        let status = record.status(at: .seconds(12))
        #expect(status.seconds == 2)
        #expect(status.path.isEmpty)
        #expect(status.baseLoss == nil)
        #expect(status.blockEvaluations == 0)
        #expect(status.workerCount == 3)
    }

    // MARK: Lines

    @Test("says what a level came to in one line")
    func levelLines() throws {
        let unpruned = RunEvent.levelFinished(level: 0, states: [base], work: workCount(1, 5, 5, 5, 1))
        let step = RunEvent.levelFinished(level: 1, states: [best, other], work: workCount(7, 20, 80, 15, 4))
        let none = RunEvent.levelFinished(level: 2, states: [], work: workCount(3, 5, 5, 5, 1))
        var record = record([(0, try began()), (1, unpruned)])
        #expect(record.line(about: unpruned) == "unpruned: loss 0.5")
        record.reduce(step, at: .seconds(2))
        // 60 of 80 are saved.
        #expect(
            record.line(about: step)
                == "step 1: removed 1:1: loss 0.75 (+0.25), 7 candidates, 75 % skipped")
        record.reduce(none, at: .seconds(3))
        #expect(record.line(about: none) == "step 2: no removal keeps within the limits")
        #expect(record.line(about: .noted("a note")) == "a note")
        #expect(record.status(at: .seconds(3)).path.map(\.edge) == ["1:1"])
    }

    @Test("says it after the best state was measured on held-out data")
    func heldOutLines() throws {
        let step = RunEvent.levelFinished(level: 0, states: [base], work: workCount(1, 5, 5, 5, 1))
        let measured = RunEvent.heldOutMeasured(
            base.variant, MeasuredState.Measurement(loss: 0.625, accuracy: 0.75), level: 0)
        var record = record([(0, try began(heldOut: HeldOutData(data: "h.npz", samples: 8))), (1, step)])
        #expect(record.line(about: step) == nil)
        record.reduce(measured, at: .seconds(2))
        #expect(
            record.line(about: measured) == "unpruned: loss 0.5, held-out loss 0.625, accuracy 75.00%")
        let again = RunEvent.heldOutMeasured(
            base.variant, MeasuredState.Measurement(loss: .infinity, accuracy: nil), level: nil)
        record.reduce(again, at: .seconds(3))
        #expect(record.line(about: again) == nil)
    }

    // MARK: Summary

    private func result(_ levels: [[State]], _ works: [WorkCount], end: SearchEnd = .steps) -> SearchResult {
        SearchResult(
            base: base, path: levels.compactMap(\.first), levels: levels, work: works, end: end)
    }

    @Test("makes the summary of a run that ends, and stops its time")
    func summary() throws {
        let works = [workCount(1, 5, 5, 5, 1), workCount(2, 10, 20, 8, 4), workCount(3, 7, 30, 6, 2)]
        let report = LossReport(outputs: [], positionWeights: nil, constantPredictorLoss: 2, unmeasured: [])
        let held = HeldOutData(data: "h.npz", samples: 8)
        let record = record([
            (1, try began(heldOut: held)), (2, .levelFinished(level: 0, states: [base], work: works[0])),
            (3, .levelFinished(level: 1, states: [best, other], work: works[1])),
            (
                3,
                .heldOutMeasured(
                    best.variant, MeasuredState.Measurement(loss: 0.875, accuracy: 0.5), level: 1)
            ),
            // The last level shows that nothing better comes, and is not told as finished.
            (4, progress(2, from: Self.second, 3, of: 30)),
            (
                6,
                .ended(
                    RunEnding(
                        result([[best, other]], works, end: .budget), graph: try sampleGraph(),
                        report: report,
                        workers: 4, mixedNumerics: ["attic"]))
            ),
        ])
        let summary = try #require(record.summary)
        #expect(summary.seconds == 5)
        #expect(summary.workers == 4)
        #expect(summary.end == .budget)
        #expect(summary.mixedNumerics == ["attic"])
        #expect(summary.levels.map(\.number) == [0, 1, 2])
        #expect(summary.levels.map(\.kept.count) == [1, 2, 0])
        #expect(summary.work == workCount(6, 22, 55, 19, 7))
        #expect(summary.base.accuracy == 0.8)  // 40 of 50
        #expect(summary.base.relativeLoss == 0.25)  // of 2
        let step = try #require(summary.path.first)
        #expect(step.edge.consumer == "sum")
        #expect(step.state.lossChange == 0.25)
        #expect(step.state.relativeLoss == 0.375)
        #expect(step.state.heldOut == MeasuredState.Measurement(loss: 0.875, accuracy: 0.5))
        #expect(summary.levels[1].kept.first == step.state)
        #expect(summary.levels[1].kept.last?.heldOut == nil)
        #expect(summary.parameterFront.map(\.loss) == [0.5, 0.75])

        let status = record.status(at: .seconds(60))
        #expect(status.seconds == 5)
        #expect(status.level == nil)
        #expect(status.blockEvaluations == 22)
    }

    @Test("has no summary of a run that ends before anything was measured")
    func nothing() throws {
        let ending = RunEnding(result([], []), graph: try sampleGraph(), workers: 0)
        #expect(record([(0, try began()), (1, .ended(ending))]).summary == nil)
    }

    // MARK: A state's forms

    @Test("tells a state with fixed keys, where what is not there is null")
    func fixedForm() throws {
        let broken = MeasuredState(
            state([Self.first], loss: .infinity, parameters: 7, flops: 9, nonFinite: 2), baseLoss: 0.5,
            countedLabels: nil)
        #expect(
            try JSONOutput.text(of: MeasuredState.FixedForm(broken)) == """
                {
                  "accuracy" : null,
                  "flops" : 9,
                  "loss" : null,
                  "nonFiniteLosses" : 2,
                  "parameters" : 7
                }

                """)
        #expect(MeasuredState.FixedForm(heldOutOf: broken) == nil)
        #expect(broken.measurement.brief == "loss not finite")
    }

    @Test("tells a held-out loss that is not finite as null, marked")
    func heldOutForm() throws {
        var held = MeasuredState(base, baseLoss: 0.5, countedLabels: LabelCounts(perSample: [50]))
        held.heldOut = MeasuredState.Measurement(loss: .infinity, accuracy: 0.25, nonFiniteLosses: 3)
        #expect(
            try JSONOutput.text(of: held) == """
                {
                  "accuracy" : 0.8,
                  "flops" : 1000,
                  "loss" : 0.5,
                  "lossChange" : 0,
                  "parameters" : 2000,
                  "removed" : [

                  ],
                  "validation" : {
                    "accuracy" : 0.25,
                    "finite" : false,
                    "loss" : null
                  }
                }

                """)
    }
}
