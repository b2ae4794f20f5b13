import ComputationGraph
import Datasets
import Search
import Work
import Testing

@testable import Coordination

/// What a coordinator makes of results that it did not ask for, or not of this worker.
@Suite struct HandoverTests {
    private let first = ConnectionID([1])
    private let second = ConnectionID([2])

    private func handover(
        _ bench: CoordinatorBench, task: UInt64 = 77, block: Int = 0, samples: [Int]? = nil, scores: Int = 1,
        losses: Int = 4
    ) -> CoordinatorEvent {
        let id = AttemptID(TaskID(task), 1)
        let score = SampleScores(losses: [Float](repeating: 1, count: losses), correct: [])
        let key = lossKey(
            block: BlockID(shard: 0, index: block), samples: samples ?? Array(block * 4..<block * 4 + 4))
        return .received(
            .handover(
                Handover(
                    key: key,
                    result: TaskResult(
                        id: id, result: LossItem.result([SampleScores](repeating: score, count: scores)),
                        seconds: 1))),
            from: first)
    }

    @Test func whatWasFinishedForAnEarlierCoordinatorIsTakenOver() throws {
        var bench = try CoordinatorBench(samples: 8)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        #expect(
            try bench.tell(handover(bench)) == ["journal block 0 of level 0", "01: acknowledged 77/1"])
        #expect(
            try bench.tell(.received(.ready(shards: [0]), from: first)) == ["01: task 1/1 block 1"],
            "only what is not known")
        #expect(try bench.result(1, 1, from: 1).last == "finished with 1")
    }

    @Test func aHandoverOfWhatIsBeingComputedTakesThatBack() throws {
        var bench = try CoordinatorBench(samples: 4)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        #expect(try bench.join(2).last == "02: task 1/1 block 0")
        #expect(
            try bench.tell(handover(bench))
                == ["journal block 0 of level 0", "01: acknowledged 77/1", "02: cancel 1", "finished with 1"])
    }

    @Test func aHandoverOfOtherSamplesIsDroppedAndOfALevelToComeIsLeftToTheWorker() throws {
        var bench = try CoordinatorBench(samples: 8)
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        #expect(try bench.tell(handover(bench)) == [], "there is no level yet")
        _ = try bench.begin()
        #expect(try bench.tell(handover(bench, samples: [3, 2, 1, 0])) == ["01: acknowledged 77/1"])
        #expect(
            try bench.tell(handover(bench, losses: 3))
                == [
                    "01: refused, what it hands over has a wrong shape: 1 times 4 losses were asked for",
                    "close 01",
                ])
    }

    @Test func aResultOfATaskThatSomebodyElseWasGivenIsRefused() throws {
        var bench = try CoordinatorBench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(2)), from: second))
        #expect(
            try bench.result(1, 1, from: 2).first
                == "02: refused, task 1, attempt 1 was not given to it, and it answers it")
        #expect(try bench.result(1, 1, from: 1).first == "journal block 0 of level 0")
    }

    @Test func aLateResultOfAnEarlierCoordinatorsTaskIsNotAcknowledged() throws {
        var bench = try CoordinatorBench(samples: 8)
        _ = try bench.begin()
        _ = try bench.join(1)
        #expect(try bench.result(5 << 32 | 1, 1, from: 1) == [], "the worker would forget it")
    }
}
