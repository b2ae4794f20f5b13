import ComputationGraph
import Datasets
import Search
import Work
import Testing

@testable import Coordination

/// How workers come, get tasks, and have their results kept.
@Suite struct CoordinatorTests {
    private let first = ConnectionID([1])
    private let second = ConnectionID([2])

    @Test func whoAsksHowFarTheRunIsBecomesNoWorker() throws {
        var bench = try CoordinatorBench(samples: 12)
        _ = try bench.begin()
        #expect(try bench.tell(.received(.askStatus, from: first)) == ["report to 01"])
        #expect(bench.coordinator.workers.isEmpty)
    }

    @Test func aWorkerIsWelcomedAndGetsTasksUpToItsCredit() throws {
        var bench = try CoordinatorBench(samples: 12)
        #expect(try bench.begin() == [])
        #expect(try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first)) == ["01: welcome"])
        #expect(
            try bench.tell(.received(.ready(shards: [0]), from: first))
                == ["01: task 1/1 block 0", "01: task 2/1 block 1"])
    }

    /// Found by `Scripts/fuzz machines`: the first one's leases stayed with a connection that knew nothing of them.
    @Test func whoTakesAnotherNameOnItsConnectionLosesItsTasks() throws {
        var bench = try CoordinatorBench()
        _ = try bench.begin()
        #expect(try bench.join(1) == ["01: welcome", "01: task 1/1 block 0", "01: task 2/1 block 1"])
        // Nobody is left who holds them.
        #expect(try bench.tell(.received(.hello(CoordinatorBench.hello(3)), from: first)) == ["01: welcome"])
        #expect(try bench.join(2) == ["02: welcome", "02: task 3/1 block 0", "02: task 4/1 block 1"])
    }

    @Test func aResultIsKeptBeforeItIsAcknowledgedButTheNextTaskDoesNotWaitForTheDisk() throws {
        var bench = try CoordinatorBench(samples: 12)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(
            try bench.result(1, 1, from: 1)
                == ["01: task 3/1 block 2", "journal block 0 of level 0", "01: acknowledged 1/1"])
        #expect(try bench.result(2, 1, from: 1) == ["journal block 1 of level 0", "01: acknowledged 2/1"])
        #expect(
            try bench.result(3, 1, from: 1)
                == ["journal block 2 of level 0", "01: acknowledged 3/1", "finished with 1"])
    }

    @Test func everyoneGetsOneTaskBeforeAnyoneGetsTwo() throws {
        var bench = try CoordinatorBench(samples: 12)
        _ = try bench.join(1)
        _ = try bench.join(2)
        #expect(
            try bench.begin() == ["01: task 1/1 block 0", "02: task 2/1 block 1", "01: task 3/1 block 2"])
    }

    @Test func withBoundsLongTasksAreNotChosenAhead() throws {
        var bench = try CoordinatorBench(samples: 12) { $0.prefetchLimit = .milliseconds(10) }
        _ = try bench.join(1)
        let begin = bench.problem.begin(usesBounds: true)
        #expect(try bench.tell(begin) == ["01: task 1/1 block 0"])
        // A second for a task is much longer than the limit, a hundredth of a millisecond much shorter; the estimate
        // follows by a fifth each time.
        #expect(
            try bench.result(1, 1, from: 1, seconds: 1)
                == ["01: task 2/1 block 1", "journal block 0 of level 0", "01: acknowledged 1/1"])
        var short = try CoordinatorBench(samples: 12) { $0.prefetchLimit = .milliseconds(10) }
        _ = try short.join(1)
        _ = try short.tell(
            short.problem.begin(usesBounds: true))
        #expect(
            try short.result(1, 1, from: 1, seconds: 0.00001)
                == [
                    "01: task 2/1 block 1", "01: task 3/1 block 2", "journal block 0 of level 0",
                    "01: acknowledged 1/1",
                ])
    }

    @Test func withBoundsLongTasksAreChosenAheadWhereBlocksAreMany() throws {
        var bench = try CoordinatorBench(samples: 28) { $0.prefetchLimit = .zero }
        _ = try bench.join(1)
        let begin = bench.problem.begin(usesBounds: true)
        #expect(try bench.tell(begin) == ["01: task 1/1 block 0", "01: task 2/1 block 1"])
        // Seven blocks are not four for each of two workers.
        #expect(try bench.join(2).filter { $0.contains("task") } == ["02: task 3/1 block 2"])
        #expect(
            try bench.result(1, 1, from: 1)
                == ["journal block 0 of level 0", "01: acknowledged 1/1"])
    }

    @Test func whatNobodyNeedsAnyMoreIsCancelledAndNotHandedOutAgain() throws {
        var bench = try CoordinatorBench { $0.speculationFactor = 1e9 }
        for name in UInt8(1)...3 { _ = try bench.join(name) }
        // Three expansions of which nothing is known but estimates, so that both blocks of all go out at once; the first
        // block is the harder one by far, so that all begin with it.
        let division = bench.problem.division
        let state = State(
            variant: Variant(.empty), unit: nil, loss: 1, objective: 0, correct: nil,
            sampleLosses: (0..<division.sharding.samples).map { $0 < division.sharding.blockSize ? 2 : 0.01 },
            cost: Cost(parameters: 2, flops: 2))
        let level = Level(
            number: 1,
            parents: [FrontierState(state, on: BlockList(naturalOrder: division), division)],
            expansions: bench.problem.edges.map {
                Expansion(
                    parent: 0, unit: Unit($0), variant: Variant(Mask([Unit($0)])),
                    cost: Cost(parameters: 1, flops: 1), estimate: 1)
            }, keep: 1, baseLoss: 0, objective: .signed)
        #expect(
            try bench.tell(
                .begin(LevelRace(level, division: bench.problem.division, usesBounds: true), recorded: []))
                == [
                    "01: task 1/1 block 0", "02: task 2/1 block 0", "03: task 3/1 block 0",
                    "01: task 4/1 block 1", "02: task 5/1 block 1", "03: task 6/1 block 1",
                ])
        // The first expansion is finished and cannot be beaten; its worker gets copies of what waits.
        _ = try bench.result(1, 1, from: 1, loss: 0)
        #expect(
            try bench.result(4, 1, from: 1, loss: 0)
                == ["01: task 5/2 block 1", "journal block 1 of level 1", "01: acknowledged 4/1"])
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
        var bench = try CoordinatorBench(samples: 12)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.result(1, 1, from: 1)
        #expect(try bench.result(1, 1, from: 1) == ["01: acknowledged 1/1"])
    }

    @Test func anotherSoftwareVersionIsRefused() throws {
        var bench = try CoordinatorBench()
        #expect(
            try bench.tell(.received(.hello(CoordinatorBench.hello(1, version: "2")), from: first))
                == ["01: refused, the worker's software version is 2, the coordinator's 1", "close 01"])
        #expect(bench.coordinator.workers.isEmpty)
    }

    @Test func whoSendsNoMessageIsRefused() throws {
        var bench = try CoordinatorBench()
        #expect(
            try bench.tell(.malformed(.wrongVersion(peer: 9, own: 1), from: first))
                == [
                    "01: refused, the other side speaks version 9 of the protocol, this one version 1",
                    "close 01",
                ])
    }

    @Test func aResultOfTheWrongShapeIsRefusedAndItsTaskComputedByAnother() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        let words = try bench.result(1, 1, from: 1, samples: 3)
        #expect(
            words == [
                "01: refused, its result of task 1 has a wrong shape: 1 times 4 losses were asked for",
                "close 01",
            ])
        #expect(try bench.join(2).last == "02: task 2/1 block 0")
    }

    @Test func aWorkerGetsOnlyBlocksOfShardsThatItHolds() throws {
        var bench = try CoordinatorBench(shards: 2)
        _ = try bench.begin()
        #expect(try bench.join(1, shards: [1]) == ["01: welcome", "01: task 1/1 block 0"])
        #expect(try bench.join(2, shards: [0]) == ["02: welcome", "02: task 2/1 block 0"])
    }

    /// Found by `Scripts/fuzz machines`.
    @Test func aWorkerThatLetsAShardGoOnItsOwnLosesItsTasks() throws {
        var bench = try CoordinatorBench(shards: 2) { $0.credit = 1 }
        _ = try bench.begin()
        #expect(try bench.join(1, shards: [0, 1]).last == "01: task 1/1 block 0")
        // It goes on with the other shard, and the task on the first goes to who has that.
        let words = try bench.tell(.received(.ready(shards: [1]), from: first))
        #expect(words == ["01: cancel 1", "01: task 2/1 block 0"])
        let joined = try bench.join(2, shards: [0])
        #expect(joined.last == "02: task 3/1 block 0")
    }

    @Test func atTheEndWorkersAreSentHome() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.stop(reason: "done")) == ["01: cancel 1", "01: stop, done"])
    }
}
