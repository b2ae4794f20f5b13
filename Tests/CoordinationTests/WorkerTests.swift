import ComputationGraph
import Datasets
import Search
import Work
import Testing

@testable import Coordination

private struct Bench {
    var worker = Worker(
        WorkerSettings(
            hello: Hello(
                softwareVersion: "1", identity: WorkerID(high: 1, low: 2), host: "here", process: 1,
                processor: "")))
    var now = Instant.zero
    let run: RunDescription
    let other: RunDescription

    init() throws {
        let problem = try SmallProblem(samples: 8, shards: 1, blockSize: 4, edges: 3, keep: 1)
        run = problem.run(shardsOf: 1)
        other = problem.run(shardsOf: 2)
    }

    mutating func tell(_ event: WorkerEvent, after: Duration = .zero) throws -> [WorkerAction] {
        now = now + after
        let actions = worker.handle(event, at: now)
        try worker.validateState()
        return actions
    }

    mutating func makeReady() throws {
        _ = try tell(.connected)
        _ = try tell(.received(.welcome(run)))
        _ = try tell(.loaded(run, shards: [0]))
    }
}

private func order(_ task: UInt64, _ attempt: UInt32 = 1) -> WorkOrder {
    WorkOrder(id: AttemptID(TaskID(task), attempt), key: lossKey(), deadline: .seconds(5))
}

private let computed = lossResult([1, 2])

private func result(_ task: UInt64, _ attempt: UInt32 = 1) -> WorkerMessage {
    .result(TaskResult(id: AttemptID(TaskID(task), attempt), result: computed, seconds: 1))
}

@Suite struct WorkerTests {
    @Test func aWorkerIntroducesItselfLoadsAndIsReady() throws {
        var bench = try Bench()
        #expect(try bench.tell(.connected) == [.send(.hello(bench.worker.settings.hello))])
        #expect(try bench.tell(.received(.welcome(bench.run))) == [.load(bench.run)])
        #expect(try bench.tell(.loaded(bench.run, shards: [0])) == [.send(.ready(shards: [0]))])
    }

    @Test func tasksAreComputedOneAfterTheOther() throws {
        var bench = try Bench()
        try bench.makeReady()
        #expect(try bench.tell(.received(.task(order(1)))) == [.compute(order(1))])
        #expect(try bench.tell(.received(.task(order(2)))) == [])
        #expect(
            try bench.tell(.computed(AttemptID(TaskID(1), 1), result: computed, seconds: 1))
                == [.send(result(1)), .compute(order(2))])
    }

    @Test func aQueuedTaskIsDroppedOnRequestAndARunningOneIsNot() throws {
        var bench = try Bench()
        try bench.makeReady()
        _ = try bench.tell(.received(.task(order(1))))
        _ = try bench.tell(.received(.task(order(2))))
        #expect(try bench.tell(.received(.cancel(TaskID(1)))) == [])
        #expect(try bench.tell(.received(.cancel(TaskID(2)))) == [.send(.cancelled(AttemptID(TaskID(2), 1)))])
        #expect(
            try bench.tell(.computed(AttemptID(TaskID(1), 1), result: computed, seconds: 1)) == [
                .send(result(1))
            ])
    }

    @Test func whatWasNotAcknowledgedIsSentAgainToACoordinatorThatLostTheWorker() throws {
        var bench = try Bench()
        try bench.makeReady()
        for task in UInt64(1)...2 {
            _ = try bench.tell(.received(.task(order(task))))
            _ = try bench.tell(.computed(AttemptID(TaskID(task), 1), result: computed, seconds: 1))
        }
        _ = try bench.tell(.received(.acknowledged(AttemptID(TaskID(1), 1))))
        #expect(try bench.tell(.received(.introduce)) == [.send(.hello(bench.worker.settings.hello))])
        #expect(try bench.tell(.received(.introduce)) == [], "one hello is on its way")
        #expect(
            try bench.tell(.received(.welcome(bench.run))) == [.send(result(2)), .send(.ready(shards: [0]))])
    }

    @Test func theNextCoordinatorOfTheRunIsGivenWhatTheOldOneAskedFor() throws {
        var bench = try Bench()
        try bench.makeReady()
        for task in UInt64(1)...2 { _ = try bench.tell(.received(.task(order(task)))) }
        _ = try bench.tell(.computed(AttemptID(TaskID(1), 1), result: computed, seconds: 1))
        _ = try bench.tell(.received(.introduce))
        func handover(_ task: UInt64) -> WorkerMessage {
            guard case .result(let result) = result(task) else { preconditionFailure("it is a result") }
            return .handover(Handover(key: order(task).key, result: result))
        }
        #expect(
            try bench.tell(.received(.welcome(bench.other)))
                == [.send(handover(1)), .send(.ready(shards: [0]))],
            "the same files need not be loaded again")
        #expect(
            try bench.tell(.computed(AttemptID(TaskID(2), 1), result: computed, seconds: 1))
                == [.send(handover(2))])
        _ = try bench.tell(.received(.acknowledged(AttemptID(TaskID(1), 1))))
        _ = try bench.tell(.received(.introduce))
        #expect(
            try bench.tell(.received(.welcome(bench.other)))
                == [.send(handover(2)), .send(.ready(shards: [0]))])
    }

    @Test func anotherRunsCoordinatorIsGivenNothingOfTheFirst() throws {
        var bench = try Bench()
        try bench.makeReady()
        _ = try bench.tell(.received(.task(order(1))))
        _ = try bench.tell(.computed(AttemptID(TaskID(1), 1), result: computed, seconds: 1))
        _ = try bench.tell(.received(.introduce))
        let run = RunDescription(
            session: 3, modelPath: "other.onnx", modelSHA256: [UInt8](repeating: 9, count: 32),
            dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, setup: "kl",
            sharding: bench.run.sharding)
        #expect(try bench.tell(.received(.welcome(run))) == [.load(run)])
        #expect(try bench.tell(.loaded(run, shards: [0])) == [.send(.ready(shards: [0]))])
    }

    @Test func anAnswerWithoutAcknowledgementIsSentAgainWithGrowingPauses() throws {
        var bench = try Bench()
        try bench.makeReady()
        _ = try bench.tell(.received(.task(order(1))))
        _ = try bench.tell(.computed(AttemptID(TaskID(1), 1), result: computed, seconds: 1))
        var times: [Double] = []
        for tick in 1...80 {
            _ = try bench.tell(.received(.alive))
            let actions = try bench.tell(.tick, after: .milliseconds(500))
            if actions.contains(.send(result(1))) { times.append(Double(tick) / 2) }
        }
        // Three heartbeats of a second, then twice as long each time.
        #expect(times == [3.5, 10, 22.5])
    }

    @Test func aComputationThatNeverEndsEndsTheWorker() throws {
        var bench = try Bench()
        try bench.makeReady()
        _ = try bench.tell(.received(.task(order(1))))
        var ending: [WorkerAction] = []
        var seconds = 0.0
        while ending.isEmpty, seconds < 100 {
            _ = try bench.tell(.received(.alive))
            seconds += 0.5
            let actions = try bench.tell(.tick, after: .milliseconds(500))
            if case .stop = actions.last { ending = actions }
        }
        // Five leases of 5 s, and three heartbeats.
        #expect(seconds == 28.5)
        let reason = "it was not computed in 28 s"
        let id = AttemptID(TaskID(1), 1)
        #expect(
            ending == [
                .log(.error, "task 1: \(reason)"),
                .send(.failed(TaskFailure(id: id, reason: reason, isPermanent: false))),
                .send(.goodbye(reason: "task 1: \(reason)", failed: false)),
                .stop(.stuck(TaskID(1), reason: reason)),
            ])
    }

    @Test func aDamagedMessageMakesTheWorkerIntroduceItselfAnew() throws {
        var bench = try Bench()
        try bench.makeReady()
        #expect(try bench.tell(.malformed(.damaged)).last == .send(.hello(bench.worker.settings.hello)))
        #expect(try bench.tell(.malformed(.damaged)).count == 1, "one hello is on its way")
    }

    @Test func aSilentCoordinatorIsLookedForAgainWithGrowingPauses() throws {
        var bench = try Bench()
        try bench.makeReady()
        var pauses: [Double] = []
        for _ in 0..<12 {
            var waited = 0
            search: while waited < 100 {
                waited += 1
                for case .reconnect(let pause) in try bench.tell(.tick, after: .milliseconds(500)) {
                    pauses.append(pause.inSeconds)
                    break search
                }
            }
            _ = try bench.tell(.connected, after: .milliseconds(100))
        }
        #expect(pauses.count == 12)
        // Between half and all of 0.1 s, doubled each time up to 10 s.
        for (index, pause) in pauses.enumerated() {
            let longest = min(0.1 * Double(1 << index), 10)
            #expect(pause >= longest / 2 && pause <= longest, "pause \(index): \(pause)")
        }
    }

    @Test func anIdleWorkerShowsThatItIsAlive() throws {
        var bench = try Bench()
        try bench.makeReady()
        #expect(try bench.tell(.tick, after: .milliseconds(600)) == [])
        #expect(try bench.tell(.tick, after: .milliseconds(600)) == [.send(.alive(computed: 0))])
    }

    @Test func endingsSayWhy() throws {
        var bench = try Bench()
        try bench.makeReady()
        var copy = bench
        #expect(try copy.tell(.received(.stop(reason: "done"))) == [.stop(.finished(reason: "done"))])
        copy = bench
        #expect(try copy.tell(.received(.refused(reason: "no"))) == [.stop(.refused(reason: "no"))])
        copy = bench
        #expect(
            try copy.tell(.terminate)
                == [.send(.goodbye(reason: "it was asked to end", failed: false)), .stop(.terminated)])
        copy = bench
        let error = WireError.wrongVersion(peer: 9, own: 1)
        #expect(try copy.tell(.malformed(error)).last == .stop(.misunderstood(error)))
        #expect(try copy.tell(.tick) == [], "nothing happens after the end")
    }

    @Test func aRunThatCannotBeLoadedEndsTheWorker() throws {
        var bench = try Bench()
        _ = try bench.tell(.connected)
        _ = try bench.tell(.received(.welcome(bench.run)))
        #expect(
            try bench.tell(.loadFailed(bench.run, reason: "no such file"))
                == [
                    .send(.goodbye(reason: "no such file", failed: true)),
                    .stop(.cannotLoad(reason: "no such file")),
                ])
    }
}
