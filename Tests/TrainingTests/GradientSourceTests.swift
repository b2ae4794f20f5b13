import Testing
import Variants
import Work

@testable import Training

@Suite("The gradient of a step")
struct GradientSourceTests {
    private static let subject = TrainingSubject(
        mask: .empty, values: [3], elements: 5, objective: TrainingObjective())

    private func source(microBatches: Int, shards: Int = 1) -> GradientSource {
        var order = SampleOrder(
            shards: (0..<shards).map { Array($0 * 40..<$0 * 40 + 40) }, batch: microBatches * 2,
            microBatch: 2, seed: 3)
        return GradientSource(
            Self.subject, weights: ContentID(sha256: [UInt8](repeating: 7, count: 32), size: 20), step: 4,
            microBatches: order.microBatches(of: 4))
    }

    /// Numbers of very different sizes, so that the order of adding shows.
    private func sum(of samples: [Int]) -> GradientSum {
        GradientSum(
            gradient: (0..<5).map { place in
                samples.reduce(0) {
                    $0 + Float(HashedNumber.of(UInt64($1), UInt64(place)) % 4096) / 7
                        * Float(sign: .plus, exponent: $1 % 40 - 20, significand: 1)
                }
            }, loss: Double(samples[0]) / 3, weight: Double(samples.count))
    }

    private func result(of item: WorkItem) throws -> [UInt8] {
        let item = try GradientItem(payload: item.key.payload)
        return GradientSum.inTree(item.microBatches.map { sum(of: $0.samples) }).bytes
    }

    @Test("is the same to the bit for any number of workers, any order and any failure", arguments: 1...9)
    func bits(microBatches: Int) throws {
        for shards in 1...3 {
            var expected: GradientSum?
            for workers in [1, 2, 3, 8] {
                for seed in 0..<6 {
                    var random = Numbers(seed: UInt64(seed + 100 * workers))
                    var source = source(microBatches: microBatches, shards: shards)
                    var out: [WorkItem] = []
                    while !source.isComplete {
                        if let item = source.next(for: WorkerView(sharing: workers)), out.count < 20 {
                            #expect(try GradientItem(payload: item.key.payload).payload == item.key.payload)
                            out.append(item)
                            if random.next() % 2 == 0 { continue }
                        }
                        let item = out.remove(at: Int(random.next() % UInt64(out.count)))
                        // A third of them is lost.
                        if random.next() % 3 == 0 {
                            source.giveBack(item)
                            #expect(source.needs(item))
                        } else {
                            try source.check(result(of: item), of: item)
                            _ = try source.fold(item, result(of: item))
                            #expect(!source.needs(item))
                        }
                    }
                    #expect(source.next(for: WorkerView(sharing: workers)) == nil)
                    #expect(expected == nil || source.total == expected)
                    expected = source.total
                }
            }
        }
    }

    @Test("takes one sum from each worker where their number is a power of two")
    func wholeSubtrees() {
        var source = source(microBatches: 8)
        let items = (0..<4).compactMap { _ in source.next(for: WorkerView(sharing: 4)) }
        #expect(items.map(\.pieces) == [[0, 1], [2, 3], [4, 5], [6, 7]])
        #expect(source.next(for: WorkerView(sharing: 4)) == nil)
    }

    @Test("refuses results of another size, and adopts those of its own step")
    func adoption() throws {
        var source = source(microBatches: 4)
        let handedOut = source.next(for: WorkerView(sharing: 2))
        let item = try #require(handedOut)
        #expect(throws: WorkMismatch.self) { try source.check([1, 2, 3], of: item) }
        var fresh = self.source(microBatches: 4)
        let record = WorkRecord(key: item.key, result: try result(of: item))
        #expect(fresh.adopt(record) == .part(item, result: record.result))
        #expect(
            fresh.adopt(WorkRecord(key: item.key, result: [0]))
                == .wrong(WorkMismatch("has a wrong size: the gradient of 5 weights was asked for")))
        let later = WorkRecord(
            key: WorkKey(kind: item.key.kind, stage: 9, payload: item.key.payload), result: record.result)
        #expect(fresh.adopt(later) == .later)
    }

    @Test("payloads that are damaged are refused, never trusted")
    func damage() throws {
        var source = source(microBatches: 4)
        let handedOut = source.next(for: WorkerView(sharing: 1))
        let payload = try #require(handedOut).key.payload
        for length in 0..<payload.count {
            #expect(throws: WorkMismatch.self) { try GradientItem(payload: Array(payload.prefix(length))) }
        }
        for place in payload.indices {
            var other = payload
            other[place] ^= 0x5A
            _ = try? GradientItem(payload: other)
        }
    }
}

/// Numbers that look random.
struct Numbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 1
        return HashedNumber.mixed(state)
    }
}
