import Foundation
import Report
import Testing

@Suite("A run's status")
struct RunStatusTests {
    private var status: RunStatus {
        var status = RunStatus(version: "1", model: "a.onnx", data: "d.npz")
        status.seconds = 61
        status.baseLoss = 0.5
        status.shards = 3
        status.path = [RunStatus.Step(step: 1, edge: "5:0", loss: 0.625)]
        status.level = RunStatus.Level(
            number: 2, expansions: 10, decided: 4, blockEvaluations: 30, mostBlockEvaluations: 100, best: 0.25
        )
        status.finishedBlockEvaluations = 12
        status.rate = 10
        status.levelSecondsLeft = 7
        status.workerCount = 1
        status.workers = [
            RunStatus.Worker(
                host: "no\"de", process: 7, machine: "Xeon", phase: "ready", tasksInFlight: 2, tasksDone: 9,
                shards: [0, 2])
        ]
        return status
    }

    @Test("is said in lines")
    func text() {
        #expect(
            status.plain(width: 100) == """
                a.onnx on d.npz, 1 min 01 s so far (espalier 1)
                unpruned: loss 0.5
                step 1: removed 5:0: loss 0.625
                step 2: 4 of 10 expansions decided, 30 of at most 100 block evaluations, 10 per second, at most 7.0
                s left
                1 worker
                host   process  phase  in flight  done  holds            machine
                no"de        7  ready          2     9  shards 0,2 of 3  Xeon

                """)
    }

    @Test("tells what is likely left beside what is left at most")
    func likelyTime() {
        var status = status
        status.levelLikelySecondsLeft = 2
        #expect(status.plain(width: 200).contains("10 per second, about 2.0 s left (at most 7.0 s)"))
        #expect(status.prometheus.contains("espalier_level_seconds_left 2\n"))
    }

    /// https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4: HELP, TYPE, samples; quotes in
    /// label values are escaped.
    @Test("has Prometheus' text format")
    func prometheus() {
        let lines = status.prometheus.split(separator: "\n").map(String.init)
        #expect(lines.contains("# TYPE espalier_block_evaluations_total counter"))
        #expect(lines.contains("espalier_block_evaluations_total 42"))
        #expect(lines.contains("espalier_loss 0.625"))
        #expect(lines.contains("espalier_level_expansions{state=\"running\"} 6"))
        #expect(lines.contains("espalier_workers{phase=\"ready\"} 1"))
        #expect(lines.contains("espalier_worker_tasks_total{host=\"no\\\"de\",process=\"7\"} 9"))
        for line in lines where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: /[a-z_]+(\{.*\})? [-+0-9.eInfNa]+/) != nil, "\(line)")
        }
    }

    @Test("comes back from its JSON")
    func json() throws {
        let data = try JSONEncoder().encode(status)
        #expect(try JSONDecoder().decode(RunStatus.self, from: data) == status)
    }
}
