import ComputationGraph
import Datasets
import Search
import Testing

@testable import Coordination

/// Results in other bits are used only where that is allowed, and never without a mark.
@Suite struct NumericsTests {
    private let first = ConnectionID([1])
    private let own = [UInt8](repeating: 1, count: 32)
    private let other = [UInt8](repeating: 2, count: 32)

    private func bench(allowed: Bool) throws -> CoordinatorBench {
        try CoordinatorBench(samples: 8) {
            $0.proof = own
            $0.machine = "q, f"
            $0.allowsMixedNumerics = allowed
        }
    }

    private func ready(_ proof: [UInt8], from connection: ConnectionID? = nil) -> CoordinatorEvent {
        .received(.ready(shards: [0], proof: proof), from: connection ?? first)
    }

    private let handover = WorkerMessage.handover(
        Handover(
            key: lossKey(samples: [0, 1, 2, 3]),
            result: TaskResult(id: AttemptID(TaskID(77), 1), result: lossResult([1, 1, 1, 1]), seconds: 1)))

    @Test func theFirstResultOfAMachineWithOtherBitsFollowsItsMark() throws {
        var bench = try bench(allowed: true)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        // Nothing of it is used yet.
        #expect(try bench.tell(ready(other)) == ["01: task 1/1 block 0", "01: task 2/1 block 1"])
        let machine = CoordinatorBench.hello(1).machine
        #expect(
            try bench.result(1, 1, from: 1)
                == ["note here: \(machine)", "journal block 0 of level 0", "01: acknowledged 1/1"])
        #expect(try bench.result(2, 1, from: 1).first == "journal block 1 of level 0")
    }

    @Test func aMachineWithTheCoordinatorsBitsLeavesNoMark() throws {
        var bench = try bench(allowed: true)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        _ = try bench.tell(ready(own))
        #expect(try bench.result(1, 1, from: 1).first == "journal block 0 of level 0")
    }

    @Test func aResultThatComesOnANewConnectionIsMarkedToo() throws {
        var bench = try bench(allowed: true)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        _ = try bench.tell(ready(other))
        // It was let in on the old one; on the new one it gives its result before it says again how it computes.
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: ConnectionID([2])))
        let words = try bench.result(1, 1, from: 2)
        #expect(words.first?.hasPrefix("note ") == true)
        #expect(words.dropFirst().first == "journal block 0 of level 0")
    }

    @Test func whatIsHandedOverWaitsUntilItIsKnownInWhichBitsItWasComputed() throws {
        var bench = try bench(allowed: true)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        #expect(try bench.tell(.received(handover, from: first)) == [])
        let words = try bench.tell(ready(other))
        #expect(words.first?.hasPrefix("note ") == true)
        #expect(
            words.dropFirst() == [
                "01: task 1/1 block 1", "journal block 0 of level 0", "01: acknowledged 77/1",
            ], "only what is not known is handed out")
    }

    @Test func whatIsHandedOverInOtherBitsIsNotUsedWhereTheyAreNotAllowed() throws {
        var bench = try bench(allowed: false)
        _ = try bench.begin()
        _ = try bench.tell(.received(.hello(CoordinatorBench.hello(1)), from: first))
        #expect(try bench.tell(.received(handover, from: first)) == [])
        let words = try bench.tell(ready(other))
        #expect(words.first?.contains("refused, its losses differ in the last bits") == true)
        #expect(!words.contains { $0.hasPrefix("journal") || $0.hasPrefix("note") })
        #expect(bench.coordinator.workers.isEmpty)
    }
}
