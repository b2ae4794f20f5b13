import ComputationGraph
import Datasets
import Search
import Testing

@testable import Coordination

/// What a coordinator does about workers and tasks that fail, fall silent or disappear.
@Suite struct CoordinatorFailureTests {
    private let first = ConnectionID([1])
    private let second = ConnectionID([2])

    @Test func aBrokenConnectionGivesItsTasksToOthersAtOnce() throws {
        var bench = try CoordinatorBench()
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(
            try bench.join(2).contains("02: task 2/2 block 1"),
            "an idle worker gets a copy of what only waits")
        #expect(try bench.tell(.disconnected(first)) == ["02: task 3/1 block 0"])
    }

    @Test func aSilentWorkerIsDeadAfterThreeHeartbeats() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.join(2)
        #expect(try bench.wait(.seconds(3), hearing: [second]) == [])
        #expect(
            try bench.wait(.milliseconds(500), hearing: [second]) == ["close 01", "02: task 2/1 block 0"])
    }

    @Test func whatADeadWorkerFinishedAfterAllStillCounts() throws {
        var bench = try CoordinatorBench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.disconnected(first)) == [])
        _ = try bench.tell(.received(.alive(computed: 1), from: second))
        // The same process on a new connection: its hello is followed by the result that it has kept.
        #expect(try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: second)) == ["02: welcome"])
        #expect(
            try bench.result(1, 1, from: 2) == ["journal block 0 of level 0", "02: acknowledged 1/1"])
        #expect(try bench.tell(.received(.ready(shards: [0]), from: second)) == ["02: task 3/1 block 1"])
    }

    @Test func whoIsUnknownIsAskedToIntroduceItself() throws {
        var bench = try CoordinatorBench()
        _ = try bench.begin()
        #expect(try bench.tell(.received(.alive(computed: 3), from: first)) == ["01: introduce"])
        #expect(
            try bench.result(1, 1, from: 1) == ["01: introduce"],
            "without an acknowledgement it is kept there")
    }

    @Test func anOverdueTaskGoesToAnotherWorkerAndTheFirstResultWins() throws {
        var bench = try CoordinatorBench(samples: 8) {
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
        var bench = try CoordinatorBench(samples: 4) { $0.restAfterFailure = .zero }
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
        var bench = try CoordinatorBench(samples: 4)
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
        var bench = try CoordinatorBench(samples: 4)
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
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        for round in UInt8(1)...5 {
            let connection = ConnectionID([round])
            _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: connection))
            _ = try bench.tell(.received(.ready(shards: [0]), from: connection))
            #expect(try bench.tell(.disconnected(connection)) == [])
        }
    }

    @Test func withoutWorkersTheRunStopsAfterAWhile() throws {
        var bench = try CoordinatorBench { $0.noWorkersLimit = .seconds(5) }
        _ = try bench.begin()
        _ = try bench.tell(.tick)
        #expect(try bench.wait(.seconds(4.5), hearing: []) == [])
        #expect(
            try bench.wait(.seconds(0.5), hearing: []) == [
                "fail: there was no worker for 5 s, and work is left"
            ])
    }

    /// So many workers come, cannot load the run, and go.
    private func failToLoad(_ names: ClosedRange<UInt8>, at bench: inout CoordinatorBench) throws -> [String]
    {
        var words: [String] = []
        for name in names {
            let connection = ConnectionID([name])
            _ = try bench.tell(.received(.hello(CoordinatorBench.hello(name)), from: connection))
            words += try bench.tell(
                .received(.goodbye(reason: "data.npz: no such file", failed: true), from: connection))
        }
        return words
    }

    @Test func workersThatCannotLoadStopTheRun() throws {
        var bench = try CoordinatorBench()
        _ = try bench.begin()
        #expect(try failToLoad(1...2, at: &bench) == ["close 01", "close 02"])
        #expect(
            try failToLoad(3...3, at: &bench)
                == ["close 03", "fail: no worker can load the run: data.npz: no such file"])
    }

    @Test func workersThatCouldNotLoadBeforeTheLevelStopItWhenItBegins() throws {
        var bench = try CoordinatorBench()
        #expect(try failToLoad(1...3, at: &bench) == ["close 01", "close 02", "close 03"])
        #expect(try bench.begin() == ["fail: no worker can load the run: data.npz: no such file"])
    }

    @Test func aWorkerThatCouldLoadTakesTheirWordAway() throws {
        var bench = try CoordinatorBench()
        _ = try failToLoad(2...4, at: &bench)
        _ = try bench.join(1)
        #expect(try bench.begin() == ["01: task 1/1 block 0", "01: task 2/1 block 1"])
    }

    @Test func whoCannotLoadStopsNobodyWhoComputes() throws {
        var bench = try CoordinatorBench()
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try failToLoad(2...9, at: &bench).allSatisfy { $0.hasPrefix("close") })
        _ = try bench.tell(.disconnected(first))
        #expect(try failToLoad(2...3, at: &bench).allSatisfy { $0.hasPrefix("close") })
        #expect(
            try failToLoad(4...4, at: &bench).last
                == "fail: no worker can load the run: data.npz: no such file")
    }

    @Test func aCoordinatorThatSleptDoesNotTakeItsWorkersForDead() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.tick, after: .seconds(600)) == ["01: alive"])
    }

    @Test func aDamagedMessageMakesBothSidesAgreeAnew() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.tell(.malformed(.damaged, from: first)) == ["01: introduce"])
        #expect(try bench.join(1).last == "01: task 2/1 block 0")
    }

    @Test func aWorkerThatLivesAndNeverAnswersIsGivenUp() throws {
        var bench = try CoordinatorBench(samples: 4) { $0.firstLease = .seconds(1) }
        _ = try bench.begin()
        _ = try bench.join(1)
        // Twice what a worker allows itself: five leases of 1 s and three heartbeats.
        #expect(try bench.wait(.seconds(15.5), hearing: [first]) == [])
        #expect(try bench.wait(.seconds(1), hearing: [first]) == ["01: introduce"])
        #expect(try bench.join(1).last == "01: task 2/1 block 0")
    }

    @Test func anOverdueTaskGoesToAnotherWorkerWithoutAWarning() throws {
        var bench = try CoordinatorBench(samples: 12) { $0.credit = 1 }
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.result(1, 1, from: 1, seconds: 0.1)
        _ = try bench.join(2)
        _ = try bench.result(3, 1, from: 2, seconds: 0.1)
        let words = try bench.wait(.seconds(20), hearing: [first, second])
        #expect(words.contains("02: task 2/2 block 1"))
        #expect(bench.warnings.isEmpty, "\(bench.warnings)")
    }

    @Test func whenNobodyAnswersForMuchLongerThanExpectedThatIsToldOnce() throws {
        var bench = try CoordinatorBench(samples: 12) {
            $0.credit = 1
            $0.firstLease = .seconds(100)
        }
        _ = try bench.begin()
        _ = try bench.join(1)
        // Twice the lease of 100 s.
        _ = try bench.wait(.seconds(199), hearing: [first])
        #expect(bench.warnings.isEmpty)
        _ = try bench.wait(.seconds(60), hearing: [first])
        #expect(
            bench.warnings.count == 1
                && bench.warnings[0].hasPrefix("no worker has answered for 200 s: task 1"))
        // An answer begins the count anew.
        _ = try bench.result(1, 1, from: 1, seconds: 1)
        _ = try bench.wait(.seconds(30), hearing: [first])
        #expect(bench.warnings.count == 1, "\(bench.warnings)")
    }

    @Test func aWorkerThatSaysGoodbyeIsToldWithItsReason() throws {
        var bench = try CoordinatorBench(samples: 12)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.tell(.received(.goodbye(reason: "it was asked to end", failed: false), from: first))
        #expect(bench.warnings.count == 1 && bench.warnings[0].hasSuffix("left: it was asked to end"))
    }

    @Test func secondsThatCannotBeDoNotMakeLeasesEndless() throws {
        var bench = try CoordinatorBench(samples: 12) { $0.credit = 1 }
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.result(1, 1, from: 1, seconds: 1e300)
        // At most the lease's floor of 5 s, four times, and the floor once more: overdue after 25 s.
        _ = try bench.join(2)
        _ = try bench.result(3, 1, from: 2, seconds: 1)
        let words = try bench.wait(.seconds(40), hearing: [first, second])
        #expect(words.contains("02: task 2/2 block 1"))
    }
}
