import ComputationGraph
import Datasets
import Search
import Testing

@testable import Coordination

/// A coordinator in the hand: events go in one by one, and the exact actions are looked at.
private struct Bench {
    var coordinator: Coordinator
    let problem: SmallProblem
    var now = Instant.zero

    init(shards: Int = 1, samples: Int = 8, configure: (inout CoordinatorSettings) -> Void = { _ in }) throws
    {
        problem = try SmallProblem(samples: samples, shards: shards, blockSize: 4, edges: 3, keep: 1)
        var settings = CoordinatorSettings(run: problem.run(), softwareVersion: "1")
        configure(&settings)
        coordinator = Coordinator(settings)
    }

    mutating func tell(_ event: CoordinatorEvent, after: Duration = .zero) throws -> [String] {
        now = now + after
        let actions = coordinator.handle(event, at: now)
        try coordinator.validateState()
        return actions.compactMap(Bench.words)
    }

    /// Heartbeats of these workers for a while, so that nobody seems dead.
    mutating func wait(_ duration: Duration, hearing connections: [ConnectionID]) throws -> [String] {
        var words: [String] = []
        let end = now + duration
        while now < end {
            for connection in connections {
                words += try tell(.received(.alive(computed: 0), from: connection))
            }
            words += try tell(.tick, after: .milliseconds(500))
        }
        return words.filter { !$0.hasSuffix("alive") }
    }

    mutating func join(_ name: UInt8, shards: [Int] = [0]) throws -> [String] {
        let connection = ConnectionID([name])
        return try tell(.received(.hello(Bench.hello(name)), from: connection))
            + tell(.received(.ready(shards: shards), from: connection))
    }

    mutating func begin() throws -> [String] {
        try tell(.begin(problem.base, division: problem.division, usesBounds: false, recorded: []))
    }

    mutating func result(
        _ task: UInt64, _ attempt: UInt32, from name: UInt8, samples: Int = 4, seconds: Double = 1,
        loss: Float = 1
    )
        throws -> [String]
    {
        let scores = SampleScores(losses: [Float](repeating: loss, count: samples), correct: [])
        return try tell(
            .received(
                .result(TaskResult(id: AttemptID(TaskID(task), attempt), scores: [scores], seconds: seconds)),
                from: ConnectionID([name])))
    }

    static func hello(_ name: UInt8, version: String = "1") -> Hello {
        Hello(
            softwareVersion: version, identity: WorkerID(high: UInt64(name), low: 0), host: "here",
            process: 1,
            processor: "")
    }

    static func words(_ action: CoordinatorAction) -> String? {
        switch action {
        case .send(let message, let connection):
            switch message {
            case .welcome: "\(connection): welcome"
            case .refused(let reason): "\(connection): refused, \(reason)"
            case .task(let assignment):
                "\(connection): task \(assignment.id.task.number)/\(assignment.id.attempt) block \(assignment.block.index)"
            case .acknowledged(let id): "\(connection): acknowledged \(id.task.number)/\(id.attempt)"
            case .cancel(let task): "\(connection): cancel \(task.number)"
            case .stop(let reason): "\(connection): stop, \(reason)"
            case .alive: "\(connection): alive"
            case .introduce: "\(connection): introduce"
            case .hold(let shards):
                "\(connection): hold \(shards.map { "\($0.shard)" }.joined(separator: " "))"
            case .chunk, .missing: nil
            case .status(let json): "\(connection): status of \(json.count) bytes"
            }
        case .close(let connection): "close \(connection)"
        case .journal(let task, _, let level): "journal block \(task.block.index) of level \(level)"
        case .levelFinished(let outcome): "finished with \(outcome.best.count)"
        case .fail(let error): "fail: \(error)"
        case .report(let connection): "report to \(connection)"
        case .log, .serve: nil
        }
    }
}

@Suite struct CoordinatorTests {
    private let first = ConnectionID([1])
    private let second = ConnectionID([2])

    @Test func whoAsksHowFarTheRunIsBecomesNoWorker() throws {
        var bench = try Bench(samples: 12)
        _ = try bench.begin()
        #expect(try bench.tell(.received(.askStatus, from: first)) == ["report to 01"])
        #expect(bench.coordinator.workers.isEmpty)
    }

    @Test func aWorkerIsWelcomedAndGetsTasksUpToItsCredit() throws {
        var bench = try Bench(samples: 12)
        #expect(try bench.begin() == [])
        #expect(try bench.tell(.received(.hello(Bench.hello(1)), from: first)) == ["01: welcome"])
        #expect(
            try bench.tell(.received(.ready(shards: [0]), from: first))
                == ["01: task 1/1 block 0", "01: task 2/1 block 1"])
    }

    /// Found by `Scripts/fuzz machines`: the first one's leases stayed with a connection that knew nothing of them.
    @Test func whoTakesAnotherNameOnItsConnectionLosesItsTasks() throws {
        var bench = try Bench()
        _ = try bench.begin()
        #expect(try bench.join(1) == ["01: welcome", "01: task 1/1 block 0", "01: task 2/1 block 1"])
        // Nobody is left who holds them.
        #expect(try bench.tell(.received(.hello(Bench.hello(3)), from: first)) == ["01: welcome"])
        #expect(try bench.join(2) == ["02: welcome", "02: task 3/1 block 0", "02: task 4/1 block 1"])
    }

    @Test func aResultIsKeptBeforeItIsAcknowledgedAndTheNextTaskFollows() throws {
        var bench = try Bench(samples: 12)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(
            try bench.result(1, 1, from: 1)
                == ["journal block 0 of level 0", "01: acknowledged 1/1", "01: task 3/1 block 2"])
        #expect(try bench.result(2, 1, from: 1) == ["journal block 1 of level 0", "01: acknowledged 2/1"])
        #expect(
            try bench.result(3, 1, from: 1)
                == ["journal block 2 of level 0", "01: acknowledged 3/1", "finished with 1"])
    }

    @Test func everyoneGetsOneTaskBeforeAnyoneGetsTwo() throws {
        var bench = try Bench(samples: 12)
        _ = try bench.join(1)
        _ = try bench.join(2)
        #expect(
            try bench.begin() == ["01: task 1/1 block 0", "02: task 2/1 block 1", "01: task 3/1 block 2"])
    }

    @Test func withBoundsLongTasksAreNotChosenAhead() throws {
        var bench = try Bench(samples: 12) { $0.prefetchLimit = .milliseconds(10) }
        _ = try bench.join(1)
        let begin = CoordinatorEvent.begin(
            bench.problem.base, division: bench.problem.division, usesBounds: true, recorded: [])
        #expect(try bench.tell(begin) == ["01: task 1/1 block 0"])
        // A second for a task is much longer than the limit, a hundredth of a millisecond much shorter; the estimate
        // follows by a fifth each time.
        #expect(
            try bench.result(1, 1, from: 1, seconds: 1)
                == ["journal block 0 of level 0", "01: acknowledged 1/1", "01: task 2/1 block 1"])
        var short = try Bench(samples: 16) { $0.prefetchLimit = .milliseconds(10) }
        _ = try short.join(1)
        _ = try short.tell(
            .begin(short.problem.base, division: short.problem.division, usesBounds: true, recorded: []))
        #expect(
            try short.result(1, 1, from: 1, seconds: 0.00001)
                == [
                    "journal block 0 of level 0", "01: acknowledged 1/1", "01: task 2/1 block 1",
                    "01: task 3/1 block 2",
                ])
    }

    @Test func whatNobodyNeedsAnyMoreIsCancelledAndNotHandedOutAgain() throws {
        var bench = try Bench { $0.speculationFactor = 1e9 }
        for name in UInt8(1)...3 { _ = try bench.join(name) }
        // Three expansions of which nothing is known but estimates, so that both blocks of all go out at once; the first
        // block is the harder one by far, so that all begin with it.
        let division = bench.problem.division
        let state = State(
            mask: .empty, edge: nil, loss: 1, objective: 0, correct: nil,
            sampleLosses: (0..<division.sharding.samples).map { $0 < division.sharding.blockSize ? 2 : 0.01 },
            cost: Cost(parameters: 2, flops: 2))
        let level = Level(
            number: 1,
            parents: [Parent(state, on: BlockList(naturalOrder: division.sharding), division)],
            expansions: bench.problem.edges.map {
                Expansion(
                    parent: 0, edge: $0, mask: Mask([$0]), cost: Cost(parameters: 1, flops: 1), estimate: 1)
            }, keep: 1, baseLoss: 0, objective: .signed)
        #expect(
            try bench.tell(
                .begin(level, division: bench.problem.division, usesBounds: true, recorded: []))
                == [
                    "01: task 1/1 block 0", "02: task 2/1 block 0", "03: task 3/1 block 0",
                    "01: task 4/1 block 1", "02: task 5/1 block 1", "03: task 6/1 block 1",
                ])
        // The first expansion is finished and cannot be beaten; its worker gets copies of what waits.
        _ = try bench.result(1, 1, from: 1, loss: 0)
        #expect(
            try bench.result(4, 1, from: 1, loss: 0)
                == ["journal block 1 of level 1", "01: acknowledged 4/1", "01: task 5/2 block 1"])
        // The second is dropped by its first block: its other block is not needed, neither here nor there.
        #expect(
            try bench.result(2, 1, from: 2, loss: 5)
                == [
                    "journal block 0 of level 1", "02: acknowledged 2/1", "02: cancel 5", "01: cancel 5",
                ])
        #expect(
            try bench.tell(.received(.cancelled(AttemptID(TaskID(5), 1)), from: second)) == [
                "02: task 6/2 block 1"
            ])
        // What was being computed is finished, and counts as nothing but work.
        #expect(
            try bench.result(5, 2, from: 1, loss: 5) == [
                "journal block 1 of level 1", "01: acknowledged 5/2",
            ])
        #expect(
            try bench.result(3, 1, from: 3, loss: 9).last == "finished with 1")
    }

    @Test func copiesOfAResultAreAcknowledgedAndDropped() throws {
        var bench = try Bench(samples: 12)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.result(1, 1, from: 1)
        #expect(try bench.result(1, 1, from: 1) == ["01: acknowledged 1/1"])
    }

    @Test func aBrokenConnectionGivesItsTasksToOthersAtOnce() throws {
        var bench = try Bench()
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(
            try bench.join(2).contains("02: task 2/2 block 1"),
            "an idle worker gets a copy of what only waits")
        #expect(try bench.tell(.disconnected(first)) == ["02: task 3/1 block 0"])
    }

    @Test func aSilentWorkerIsDeadAfterThreeHeartbeats() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.join(2)
        #expect(try bench.wait(.seconds(3), hearing: [second]) == [])
        #expect(
            try bench.wait(.milliseconds(500), hearing: [second]) == ["close 01", "02: task 2/1 block 0"])
    }

    @Test func whatADeadWorkerFinishedAfterAllStillCounts() throws {
        var bench = try Bench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.disconnected(first)) == [])
        _ = try bench.tell(.received(.alive(computed: 1), from: second))
        // The same process on a new connection: its hello is followed by the result that it has kept.
        #expect(try bench.tell(.received(.hello(Bench.hello(1)), from: second)) == ["02: welcome"])
        #expect(
            try bench.result(1, 1, from: 2) == ["journal block 0 of level 0", "02: acknowledged 1/1"])
        #expect(try bench.tell(.received(.ready(shards: [0]), from: second)) == ["02: task 3/1 block 1"])
    }

    @Test func whoIsUnknownIsAskedToIntroduceItself() throws {
        var bench = try Bench()
        _ = try bench.begin()
        #expect(try bench.tell(.received(.alive(computed: 3), from: first)) == ["01: introduce"])
        #expect(
            try bench.result(1, 1, from: 1) == ["01: introduce"],
            "without an acknowledgement it is kept there")
    }

    @Test func anOverdueTaskGoesToAnotherWorkerAndTheFirstResultWins() throws {
        var bench = try Bench(samples: 8) {
            $0.firstLease = .seconds(10)
            $0.credit = 1
        }
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.join(2)
        _ = try bench.result(2, 1, from: 2, seconds: 0.001)
        // The copy that an idle worker gets at the end of a level comes first; here it is the same thing.
        let words = try bench.wait(.seconds(1), hearing: [first, second])
        #expect(words == ["02: task 1/2 block 0"])
        #expect(
            try bench.result(1, 2, from: 2)
                == ["journal block 0 of level 0", "02: acknowledged 1/2", "01: cancel 1", "finished with 1"])
        #expect(try bench.result(1, 1, from: 1) == ["01: acknowledged 1/1"])
    }

    @Test func aTaskThatFailsThreeTimesStopsTheRun() throws {
        var bench = try Bench(samples: 4) { $0.restAfterFailure = .zero }
        _ = try bench.begin()
        _ = try bench.join(1)
        func failure(_ task: UInt64, permanent: Bool = false) -> CoordinatorEvent {
            .received(
                .failed(
                    TaskFailure(id: AttemptID(TaskID(task), 1), reason: "no memory", isPermanent: permanent)),
                from: first)
        }
        #expect(try bench.tell(failure(1)) == ["01: acknowledged 1/1", "01: task 2/1 block 0"])
        #expect(try bench.tell(failure(2)) == ["01: acknowledged 2/1", "01: task 3/1 block 0"])
        let words = try bench.tell(failure(3))
        #expect(
            words == [
                "01: acknowledged 3/1",
                "fail: block 0 of shard 0, state {}, removing nothing more, ended or failed on 3 workers, the last "
                    + "time: no memory",
            ])
    }

    @Test func aPermanentFailureStopsTheRunAtOnce() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        let words = try bench.tell(
            .received(
                .failed(
                    TaskFailure(
                        id: AttemptID(TaskID(1), 1), reason: "node 3 (conv1, Conv): no", isPermanent: true)),
                from: first))
        #expect(
            words == [
                "01: acknowledged 1/1",
                "fail: block 0 of shard 0, state {}, removing nothing more, cannot be computed: node 3 (conv1, Conv): no",
            ])
    }

    @Test func aWorkerThatSaysGoodbyeIsNotBlamed() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        for name in UInt8(1)...5 {
            #expect(try bench.join(name).last == "0\(name): task \(name)/1 block 0")
            #expect(
                try bench.tell(
                    .received(.goodbye(reason: "preempted", failed: false), from: ConnectionID([name])))
                    == ["close 0\(name)"])
        }
    }

    @Test func aWorkerThatVanishedAndCameBackIsNotBlamed() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        for round in UInt8(1)...5 {
            let connection = ConnectionID([round])
            _ = try bench.tell(.received(.hello(Bench.hello(1)), from: connection))
            _ = try bench.tell(.received(.ready(shards: [0]), from: connection))
            #expect(try bench.tell(.disconnected(connection)) == [])
        }
    }

    @Test func anotherSoftwareVersionIsRefused() throws {
        var bench = try Bench()
        #expect(
            try bench.tell(.received(.hello(Bench.hello(1, version: "2")), from: first))
                == ["01: refused, the worker's software version is 2, the coordinator's 1", "close 01"])
        #expect(bench.coordinator.workers.isEmpty)
    }

    @Test func whoSendsNoMessageIsRefused() throws {
        var bench = try Bench()
        #expect(
            try bench.tell(.malformed(.wrongVersion(peer: 9, own: 1), from: first))
                == [
                    "01: refused, the other side speaks version 9 of the protocol, this one version 1",
                    "close 01",
                ])
    }

    @Test func aResultOfTheWrongShapeIsRefusedAndItsTaskComputedByAnother() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        let words = try bench.result(1, 1, from: 1, samples: 3)
        #expect(words == ["01: refused, its result of task 1 has a wrong shape", "close 01"])
        #expect(try bench.join(2).last == "02: task 2/1 block 0")
    }

    @Test func aWorkerGetsOnlyBlocksOfShardsThatItHolds() throws {
        var bench = try Bench(shards: 2)
        _ = try bench.begin()
        #expect(try bench.join(1, shards: [1]) == ["01: welcome", "01: task 1/1 block 0"])
        #expect(try bench.join(2, shards: [0]) == ["02: welcome", "02: task 2/1 block 0"])
    }

    /// Found by `Scripts/fuzz machines`.
    @Test func aWorkerThatLetsAShardGoOnItsOwnLosesItsTasks() throws {
        var bench = try Bench(shards: 2) { $0.credit = 1 }
        _ = try bench.begin()
        #expect(try bench.join(1, shards: [0, 1]).last == "01: task 1/1 block 0")
        // It goes on with the other shard, and the task on the first goes to who has that.
        let words = try bench.tell(.received(.ready(shards: [1]), from: first))
        #expect(words == ["01: cancel 1", "01: task 2/1 block 0"])
        let joined = try bench.join(2, shards: [0])
        #expect(joined.last == "02: task 3/1 block 0")
    }

    @Test func withoutWorkersTheRunStopsAfterAWhile() throws {
        var bench = try Bench { $0.noWorkersLimit = .seconds(5) }
        _ = try bench.begin()
        _ = try bench.tell(.tick)
        #expect(try bench.wait(.seconds(4.5), hearing: []) == [])
        #expect(
            try bench.wait(.seconds(0.5), hearing: []) == [
                "fail: there was no worker for 5 s, and work is left"
            ])
    }

    @Test func workersThatCannotLoadStopTheRun() throws {
        var bench = try Bench()
        _ = try bench.begin()
        var words: [String] = []
        for name in UInt8(1)...3 {
            let connection = ConnectionID([name])
            _ = try bench.tell(.received(.hello(Bench.hello(name)), from: connection))
            words = try bench.tell(
                .received(.goodbye(reason: "data.npz: no such file", failed: true), from: connection))
        }
        #expect(words == ["close 03", "fail: no worker can load the run: data.npz: no such file"])
    }

    @Test func aCoordinatorThatSleptDoesNotTakeItsWorkersForDead() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.tick, after: .seconds(600)) == ["01: alive"])
    }

    private func handover(
        _ bench: Bench, task: UInt64 = 77, block: Int = 0, samples: [Int]? = nil, scores: Int = 1,
        losses: Int = 4
    ) -> CoordinatorEvent {
        let id = AttemptID(TaskID(task), 1)
        let score = SampleScores(losses: [Float](repeating: 1, count: losses), correct: [])
        return .received(
            .handover(
                Handover(
                    assignment: Assignment(
                        id: id, state: .empty, block: BlockID(shard: 0, index: block),
                        samples: samples ?? Array(block * 4..<block * 4 + 4), edges: [nil],
                        deadline: .seconds(1)),
                    result: TaskResult(
                        id: id, scores: [SampleScores](repeating: score, count: scores), seconds: 1))),
            from: first)
    }

    @Test func whatWasFinishedForAnEarlierCoordinatorIsTakenOver() throws {
        var bench = try Bench(samples: 8)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(Bench.hello(1)), from: first))
        #expect(
            try bench.tell(handover(bench)) == ["journal block 0 of level 0", "01: acknowledged 77/1"])
        #expect(
            try bench.tell(.received(.ready(shards: [0]), from: first)) == ["01: task 1/1 block 1"],
            "only what is not known")
        #expect(try bench.result(1, 1, from: 1).last == "finished with 1")
    }

    @Test func aHandoverOfWhatIsBeingComputedTakesThatBack() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(Bench.hello(1)), from: first))
        #expect(try bench.join(2).last == "02: task 1/1 block 0")
        #expect(
            try bench.tell(handover(bench))
                == ["journal block 0 of level 0", "01: acknowledged 77/1", "02: cancel 1", "finished with 1"])
    }

    @Test func aHandoverOfOtherSamplesIsDroppedAndOfALevelToComeIsLeftToTheWorker() throws {
        var bench = try Bench(samples: 8)
        _ = try bench.tell(.received(.hello(Bench.hello(1)), from: first))
        #expect(try bench.tell(handover(bench)) == [], "there is no level yet")
        _ = try bench.begin()
        #expect(try bench.tell(handover(bench, samples: [3, 2, 1, 0])) == ["01: acknowledged 77/1"])
        #expect(
            try bench.tell(handover(bench, losses: 3))
                == ["01: refused, what it hands over has a wrong shape", "close 01"])
    }

    @Test func aResultOfATaskThatSomebodyElseWasGivenIsRefused() throws {
        var bench = try Bench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.tell(.received(.hello(Bench.hello(2)), from: second))
        #expect(
            try bench.result(1, 1, from: 2).first
                == "02: refused, task 1, attempt 1 was not given to it, and it answers it")
        #expect(try bench.result(1, 1, from: 1).first == "journal block 0 of level 0")
    }

    @Test func aLateResultOfAnEarlierCoordinatorsTaskIsNotAcknowledged() throws {
        var bench = try Bench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.result(5 << 32 | 1, 1, from: 1) == [], "the worker would forget it")
    }

    @Test func aDamagedMessageMakesBothSidesAgreeAnew() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.malformed(.damaged, from: first)) == ["01: introduce"])
        #expect(try bench.join(1).last == "01: task 2/1 block 0")
    }

    @Test func aWorkerThatLivesAndNeverAnswersIsGivenUp() throws {
        var bench = try Bench(samples: 4) { $0.firstLease = .seconds(1) }
        _ = try bench.begin()
        _ = try bench.join(1)
        // Twice what a worker allows itself: five leases of 1 s and three heartbeats.
        #expect(try bench.wait(.seconds(15.5), hearing: [first]) == [])
        #expect(try bench.wait(.seconds(1), hearing: [first]) == ["01: introduce"])
        #expect(try bench.join(1).last == "01: task 2/1 block 0")
    }

    @Test func secondsThatCannotBeDoNotMakeLeasesEndless() throws {
        var bench = try Bench(samples: 12) { $0.credit = 1 }
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.result(1, 1, from: 1, seconds: 1e300)
        // At most the lease's floor of 5 s, four times, and the floor once more: overdue after 25 s.
        _ = try bench.join(2)
        _ = try bench.result(3, 1, from: 2, seconds: 1)
        let words = try bench.wait(.seconds(40), hearing: [first, second])
        #expect(words.contains("02: task 2/2 block 1"))
    }

    @Test func atTheEndWorkersAreSentHome() throws {
        var bench = try Bench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.stop(reason: "done")) == ["01: cancel 1", "01: stop, done"])
    }
}
