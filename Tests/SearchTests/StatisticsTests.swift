import ComputationGraph
import Datasets
import Testing
import Work

@testable import Search

@Suite("StatisticsSource")
struct StatisticsTests {
    /// Five blocks of two samples in the first shard, five in the second, the last of one sample.
    private let blocks: BlockList

    init() throws {
        blocks = BlockList(
            naturalOrder: SampleDivision(
                sharding: try Sharding(samples: 19, shards: 2, blockSize: 2),
                weights: [Float](repeating: 1, count: 19)))
    }

    private func source(elements: Int) -> StatisticsSource {
        StatisticsSource(groups: [[4, 7], [9]], blocks: blocks, elements: elements)
    }

    /// Sums whose bits depend on the order of adding.
    private func result(_ key: WorkKey) throws -> [UInt8] {
        let item = try StatisticsItem(payload: key.payload)
        return StatisticsItem.result(
            item.values.map { value in
                var sum = ValueSum(shape: [1], sums: [0], count: 0)
                for sample in item.samples.joined() {
                    sum += ValueSum(shape: [1], sums: [1 / Double(sample * value + 3)], count: 1)
                }
                return sum
            })
    }

    private func items(of source: StatisticsSource) -> [WorkItem] {
        var source = source
        var items: [WorkItem] = []
        while let item = source.next(for: WorkerView()) { items.append(item) }
        return items
    }

    @Test(
        "has a part for each block where sums are small, and for each shard where they are large",
        arguments: [
            (elements: 1, parts: 10),
            // 2²⁸ bytes hold sums of 2²³ elements, 8 bytes each, four times: two parts of each shard.
            (elements: 1 << 23, parts: 4),
            (elements: 1 << 30, parts: 2),
        ])
    func parts(elements: Int, parts: Int) throws {
        let items = try items(of: source(elements: elements)).map {
            try StatisticsItem(payload: $0.key.payload)
        }
        #expect(items.count == 2 * parts)
        for values in [[4, 7], [9]] {
            let own = items.filter { $0.values == values }
            #expect(own.flatMap(\.blocks) == blocks.ids)
            #expect(own.flatMap(\.samples) == blocks.samples)
            #expect(own.allSatisfy { Set($0.blocks.map(\.shard)).count == 1 })
        }
    }

    @Test("comes to the same bits in any order of arrival, and from its records")
    func order() throws {
        let start = source(elements: 1 << 23)
        let items = items(of: start)
        func totals(_ order: [WorkItem]) throws -> [Int: ValueSum] {
            var source = start
            for item in order {
                let result = try result(item.key)
                try source.check(result, of: item)
                _ = source.fold(item, result)
                _ = source.fold(item, result)
            }
            #expect(source.isComplete)
            return source.totals()
        }
        let expected = try totals(items)
        #expect(expected.keys.sorted() == [4, 7, 9] && expected.values.allSatisfy { $0.count == 19 })
        var random = SplitMix64(seed: 5)
        for _ in 0..<20 { #expect(try totals(items.shuffled(using: &random)) == expected) }
        let records = try items.reversed().map { WorkRecord(key: $0.key, result: try result($0.key)) }
        #expect(try StatisticsSource.totals(of: records) == expected)
    }

    @Test("adopts what was computed of its own parts, and nothing of other parts")
    func adopting() throws {
        var target = source(elements: 1 << 23)
        for (elements, isAdopted) in [(1 << 23, true), (1 << 30, false)] {
            for item in items(of: source(elements: elements)) {
                let record = WorkRecord(key: item.key, result: try result(item.key))
                let found = target.adopt(record)
                #expect(found == (isAdopted ? .part(item, result: record.result) : .none))
            }
        }
    }

    @Test("refuses sums of another shape than those of other parts")
    func shapes() throws {
        var source = source(elements: 1)
        let items = items(of: source)
        let (first, second) = (items[0], items[1])
        _ = source.fold(second, try result(second.key))
        let other = ValueSum(shape: [2], sums: [0, 0], count: 1)
        #expect(throws: WorkMismatch.self) {
            try source.check(StatisticsItem.result([other, other]), of: first)
        }
    }
}
