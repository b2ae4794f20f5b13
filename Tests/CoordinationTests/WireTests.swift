import ComputationGraph
import Datasets
import Foundation
import Search
import Work
import Testing

@testable import Coordination

@Suite struct WireTests {
    private let wire = Wire()

    @Test func everyMessageOfAWorkerComesBackAsItWas() throws {
        let id = AttemptID(TaskID(1 << 40), 3)
        let odd: [Float] = [0, -0.0, Float.leastNonzeroMagnitude, .infinity, 3.5, .greatestFiniteMagnitude]
        let messages: [WorkerMessage] = [
            .hello(
                Hello(
                    softwareVersion: "0.1", identity: WorkerID(high: .max, low: 1), host: "node-7",
                    process: 4711,
                    processor: "a processor")),
            .ready(shards: [0, 2, 1]), .alive(computed: 12), .cancelled(id),
            .result(
                TaskResult(
                    id: id, result: LossItem.result([SampleScores(losses: odd, correct: [])]), seconds: 0.25)),
            .result(TaskResult(id: id, result: [], seconds: 0)),
            .failed(TaskFailure(id: id, reason: "node 3 (conv): no", isPermanent: true)),
            .goodbye(reason: "asked to", failed: false),
            .handover(
                Handover(
                    key: lossKey(
                        7, state: Mask([Edge(node: 3, slot: 1)]), units: [nil, Unit(Edge(node: 1, slot: 0))]),
                    result: TaskResult(id: id, result: lossResult([1, 2], [3, 4]), seconds: 1))),
        ]
        for message in messages { #expect(try wire.decodeWorkerMessage(wire.encode(message)) == message) }
    }

    @Test func everyMessageOfACoordinatorComesBackAsItWas() throws {
        let id = AttemptID(TaskID(9), 1)
        let run = try SmallProblem(samples: 10, shards: 2, blockSize: 3, edges: 1, keep: 1).run()
        let messages: [CoordinatorMessage] = [
            .welcome(run), .refused(reason: "no"), .acknowledged(id), .cancel(TaskID(7)),
            .stop(reason: "done"),
            .alive, .introduce,
            .task(
                WorkOrder(
                    id: id, key: WorkKey(kind: WorkKind("statistics"), stage: 0, payload: [0, 255, 3]),
                    hints: [1, 2], contents: [ContentID(sha256: [UInt8](repeating: 4, count: 32), size: 9)],
                    deadline: .milliseconds(1500))),
        ]
        for message in messages {
            #expect(try wire.decodeCoordinatorMessage(wire.encode(message)) == message)
        }
    }

    /// Found by `Scripts/fuzz wire`: a lease came back a nanosecond shorter than it was sent.
    @Test func leasesAreTheSameAfterAnyNumberOfJourneys() throws {
        for bits: UInt64 in [0x4000_0400_1919_0000, 0x3FB9_9999_9999_999A, 0x41D0_0000_0000_1234] {
            let once = Duration.clamped(seconds: Double(bitPattern: bits))
            #expect(once > .zero)
            #expect(Duration.clamped(seconds: once.inSeconds) == once)
        }
    }

    /// Field numbers and types by hand, as another implementation of protocol buffers would write them.
    @Test func theLayoutIsThatOfTheSchema() throws {
        // version = 4 (field 1, varint); result = field 22 (tag 0xB2 0x01) of 19 bytes: task 5, attempt 2,
        // result = field 3 of 4 bytes, seconds = field 4, 2.0.
        let bytes: [UInt8] = [
            0x08, 0x04, 0xB2, 0x01, 0x13, 0x08, 0x05, 0x10, 0x02, 0x1A, 0x04, 0x00, 0x00, 0x80, 0x3F, 0x21,
            0, 0, 0, 0, 0, 0, 0x00, 0x40,
        ]
        var whole = Data(bytes)
        Checksum.append(to: &whole)
        let expected = WorkerMessage.result(
            TaskResult(id: AttemptID(TaskID(5), 2), result: [0, 0, 0x80, 0x3F], seconds: 2))
        #expect(try wire.decodeWorkerMessage(whole) == expected)
        #expect(try wire.encode(expected) == whole)
        #expect(whole.count == bytes.count + 9 && whole[bytes.count] == 0x79, "field 15, fixed64")
    }

    @Test func everyFlippedBitIsSeen() throws {
        let whole = try wire.encode(
            .failed(TaskFailure(id: AttemptID(TaskID(3), 1), reason: "no", isPermanent: true)))
        for place in whole.indices {
            for bit in 0..<8 {
                var damaged = whole
                damaged[place] ^= 1 << bit
                #expect(throws: WireError.self) { try wire.decodeWorkerMessage(damaged) }
            }
        }
        #expect(throws: WireError.damaged) { try wire.decodeWorkerMessage(whole.dropLast(9)) }
    }

    /// A product of 64 bits carries the highest bits of what it takes in nowhere: a checksum made of products took these
    /// three flips for no damage (simulated seed 724690).
    @Test func flipsThatCancelEachOtherInProductsAreSeen() throws {
        let whole = try wire.encode(
            .result(
                TaskResult(
                    id: AttemptID(TaskID(3), 1), result: lossResult([Float](repeating: 1.5, count: 40)),
                    seconds: 1)))
        for word in 0..<(whole.count - 9) / 8 - 1 {
            for distance in 20..<40 {
                var damaged = whole
                damaged[word * 8 + 7] ^= 0x80
                damaged[word * 8 + 15] ^= 0x80
                damaged[word * 8 + 8 + (63 - distance) / 8] ^= 1 << ((63 - distance) % 8)
                #expect(Checksum.verdict(on: damaged) == .wrong, "\(word) \(distance)")
            }
        }
    }

    @Test func otherVersionsAreNamed() throws {
        // version = 9, alive = field 40.
        let frame = Data([0x08, 0x09, 0xC2, 0x02, 0x00])
        #expect(throws: WireError.wrongVersion(peer: 9, own: 4)) { try wire.decodeWorkerMessage(frame) }
        #expect(throws: WireError.wrongVersion(peer: 9, own: 4)) { try wire.decodeCoordinatorMessage(frame) }
    }

    @Test func aRefusalIsUnderstoodInEveryVersion() throws {
        // version = 9, refused = field 2 with reason "no".
        let frame = Data([0x08, 0x09, 0x12, 0x04, 0x0A, 0x02, 0x6E, 0x6F])
        #expect(try wire.decodeCoordinatorMessage(frame) == .refused(reason: "no"))
    }

    @Test func messagesOfTheWrongSideAndOfNoKindAreNamed() throws {
        let stop = try wire.encode(CoordinatorMessage.stop(reason: ""))
        #expect(throws: WireError.unknownKind("stop")) { try wire.decodeWorkerMessage(stop) }
        let ready = try wire.encode(WorkerMessage.ready(shards: [0]))
        #expect(throws: WireError.unknownKind("ready")) { try wire.decodeCoordinatorMessage(ready) }
        // version = 4, field 99 that nobody knows.
        #expect(throws: WireError.unknownKind("unknown")) {
            var frame = Data([0x08, 0x04, 0x9A, 0x06, 0x00])
            Checksum.append(to: &frame)
            return try wire.decodeWorkerMessage(frame)
        }
    }

    @Test func sizesAndCountsBeyondTheLimitsAreErrors() throws {
        var limits = WireLimits()
        limits.frameBytes = 200
        limits.payloadBytes = 4
        limits.resultBytes = 8
        limits.itemContents = 1
        limits.textBytes = 8
        let narrow = Wire(limits: limits)
        #expect(throws: WireError.tooLarge(bytes: 201, limit: 200)) {
            try narrow.decodeWorkerMessage(Data(repeating: 0, count: 201))
        }
        func task(payload: Int = 4, hints: Int = 0, contents: Int = 0, kind: String = "k") throws -> Data {
            try wire.encode(
                .task(
                    WorkOrder(
                        id: AttemptID(TaskID(1), 1),
                        key: WorkKey(
                            kind: WorkKind(kind), stage: 0, payload: [UInt8](repeating: 1, count: payload)),
                        hints: [UInt8](repeating: 1, count: hints),
                        contents: (0..<contents).map {
                            ContentID(sha256: [UInt8](repeating: UInt8($0), count: 32), size: 1)
                        }, deadline: .seconds(1))))
        }
        #expect(throws: Never.self) {
            try narrow.decodeCoordinatorMessage(task(payload: 4, hints: 4, contents: 1))
        }
        for (bytes, field) in [
            (try task(payload: 5), "key.payload"), (try task(hints: 5), "hints"),
            (try task(contents: 2), "contents"), (try task(kind: ""), "key"),
        ] {
            #expect {
                try narrow.decodeCoordinatorMessage(bytes)
            } throws: { error in
                if case WireError.invalid("task", field, _) = error { true } else { false }
            }
        }
        let long = try wire.encode(CoordinatorMessage.stop(reason: "nine chars"))
        #expect(throws: WireError.self) { try narrow.decodeCoordinatorMessage(long) }
        let result = TaskResult(
            id: AttemptID(TaskID(1), 1), result: [UInt8](repeating: 1, count: 9), seconds: 1)
        #expect(throws: WireError.self) { try narrow.decodeWorkerMessage(wire.encode(.result(result))) }
        #expect(throws: WireError.self) { try narrow.encode(.result(result)) }
    }

    @Test func damagedBytesNeverTrap() throws {
        let run = try SmallProblem(samples: 10, shards: 2, blockSize: 3, edges: 1, keep: 1).run()
        let whole = [
            try wire.encode(.welcome(run)),
            try wire.encode(
                .result(
                    TaskResult(
                        id: AttemptID(TaskID(1), 1), result: lossResult([1, 2, 3]), seconds: 1))),
            try wire.encode(
                .task(
                    WorkOrder(
                        id: AttemptID(TaskID(1), 1), key: lossKey(state: Mask([Edge(node: 1, slot: 0)])),
                        hints: [1], deadline: .seconds(1)))),
        ]
        var random = SplitMix64(seed: 7)
        for bytes in whole {
            for length in 0..<bytes.count {
                _ = try? wire.decodeWorkerMessage(bytes.prefix(length))
                _ = try? wire.decodeCoordinatorMessage(bytes.prefix(length))
            }
            for _ in 0..<3000 {
                var damaged = bytes
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    damaged[Int.random(in: 0..<damaged.count, using: &random)] = .random(
                        in: 0...255, using: &random)
                }
                _ = try? wire.decodeWorkerMessage(damaged)
                _ = try? wire.decodeCoordinatorMessage(damaged)
            }
        }
    }
}
