import ComputationGraph
import Datasets
import Testing
import Work

@testable import Search

@Suite("Payload and result of losses")
struct LossItemTests {
    /// Units of both kinds, whole and in part, with every replacement.
    private func unit(using random: inout SplitMix64) -> Unit {
        let edge = Edge(
            node: .random(in: 0...5000, using: &random), slot: .random(in: 0...9, using: &random))
        let first = Int.random(in: 0...999, using: &random)
        let range = Slice.Positions(
            axis: .random(in: 0...3, using: &random),
            bounds: first..<first + .random(in: 1...64, using: &random))
        return Unit(
            Unit.Kind.allCases.randomElement(using: &random) ?? .edge,
            root: Slice(edge, positions: Bool.random(using: &random) ? range : nil),
            replacement: Replacement.allCases.randomElement(using: &random) ?? .zero)
    }

    private func item(_ seed: UInt64) -> LossItem {
        var random = SplitMix64(seed: seed)
        let removed = (0..<Int.random(in: 0...12, using: &random)).map { _ in unit(using: &random) }
        let weights = WeightsID(
            sha256: (0..<32).map { _ in .random(in: 0...255, using: &random) }, size: 70)
        let state = Variant(Mask(removed), weights: Bool.random(using: &random) ? weights : nil)
        return LossItem(
            state: state,
            block: BlockID(
                shard: .random(in: 0...100, using: &random), index: .random(in: 0...100_000, using: &random)),
            samples: (0..<Int.random(in: 1...64, using: &random)).map { _ in
                .random(in: 0...Int(UInt32.max), using: &random)
            },
            units: (0..<Int.random(in: 1...20, using: &random)).map { _ in
                Int.random(in: 0...4, using: &random) == 0 ? nil : unit(using: &random)
            })
    }

    @Test(
        "a payload is read back as the item that it was written of, and two items have the same only if they are equal"
    )
    func payloadsComeBack() throws {
        var seen: [[UInt8]: LossItem] = [:]
        for seed in 0..<300 as Range<UInt64> {
            let item = item(seed)
            let read = try LossItem(payload: item.payload)
            #expect(read == item && read.payload == item.payload, "seed \(seed)")
            #expect(seen[item.payload].map { $0 == item } ?? true, "seed \(seed)")
            seen[item.payload] = item
        }
        #expect(seen.count == 300)
    }

    @Test("a payload with a unit of every other one of thousands of positions is read back")
    func longUnitsComeBack() throws {
        let positions = Slice.Positions(axis: 2, ascending: stride(from: 0, to: 8192, by: 2))
        let unit = Unit(.neurons, root: Slice(Edge(node: 7, slot: 0), positions: positions))
        let item = LossItem(
            state: Variant(.empty), block: BlockID(shard: 0, index: 0), samples: [0], units: [unit])
        #expect(unit.description.utf8.count > 1 << 15)
        #expect(try LossItem(payload: item.payload) == item)
    }

    @Test("a payload is a version, state, block, samples and units, little-endian")
    func payloadIsAsDocumented() {
        let item = LossItem(
            state: Variant(.empty), block: BlockID(shard: 2, index: 258), samples: [7],
            units: [nil, Unit(Edge(node: 3, slot: 1))])
        #expect(
            item.payload == [1]  // the version
                + [2, 0, 0, 0] + Array("{}".utf8) + [0, 0, 0, 0]  // no means
                + [2, 0, 0, 0] + [2, 1, 0, 0]
                + [1, 0, 0, 0, 7, 0, 0, 0]  // one sample
                + [2, 0, 0, 0] + [0, 0, 0, 0] + [3, 0, 0, 0] + Array("3:1".utf8))
    }

    @Test("a payload that is cut off, or goes on, is an error")
    func cutPayloadsAreRefused() {
        for seed in 0..<20 as Range<UInt64> {
            let payload = item(seed).payload
            for count in 0..<payload.count {
                #expect(throws: WorkMismatch.self, "seed \(seed), \(count) bytes") {
                    try LossItem(payload: Array(payload.prefix(count)))
                }
            }
            #expect(throws: WorkMismatch.self) { try LossItem(payload: payload + [0]) }
        }
    }

    @Test(
        "a payload of another version, with a state or unit that is none, or with nothing to compute is an error"
    )
    func wrongPayloadsAreRefused() {
        let first = BlockID(shard: 0, index: 0)
        func payload(
            version: UInt8 = 1, state: String = "{1:0}", samples: [Int] = [0, 1], units: [String] = ["2:0"],
            count: Int? = nil
        ) -> [UInt8] {
            var writer = ByteWriter()
            writer.write(version)
            writer.write(state)
            writer.write(0)
            writer.write(first.shard)
            writer.write(first.index)
            writer.write(samples)
            writer.write(count ?? units.count)
            for unit in units { writer.write(unit) }
            return writer.bytes
        }
        #expect(throws: Never.self) { try LossItem(payload: payload()) }
        for wrong in [
            payload(version: 2), payload(state: ""), payload(state: "{1:0"), payload(state: "{2:0, 1:0}"),
            payload(state: "{1:0, 1:0}"), payload(samples: []), payload(units: []), payload(units: ["x"]),
            payload(units: ["2:0=zero"]), payload(count: Int(UInt32.max)),
            payload(units: [String(repeating: "1", count: 2000)]),
        ] {
            #expect(throws: WorkMismatch.self) { try LossItem(payload: wrong) }
        }
    }

    @Test("damaged bytes of a payload give an item or an error, and an item says the same again")
    func damagedPayloadsDoNotTrap() {
        var random = SplitMix64(seed: 3)
        var refused = 0
        for seed in 0..<2000 as Range<UInt64> {
            var payload = item(seed % 40).payload
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                payload[Int.random(in: payload.indices, using: &random)] = .random(
                    in: 0...255, using: &random)
            }
            guard let read = try? LossItem(payload: payload) else {
                refused += 1
                continue
            }
            #expect((try? LossItem(payload: read.payload)) == read)
        }
        #expect(refused > 0 && refused < 2000)
    }

    // MARK: Results

    /// A NaN with a payload, both zeros, infinities, and the smallest and largest magnitudes.
    private static let bits: [UInt32] = [
        0x7FC1_2345, 0x8000_0000, 0, 0x7F80_0000, 0xFF80_0000, 1, 0x7F7F_FFFF,
    ]

    @Test("a result is read back to the bit, with labels counted and without", arguments: [true, false])
    func resultsComeBack(hasLabels: Bool) throws {
        let samples = LossItemTests.bits.count
        let scores = (0..<3).map { place in
            SampleScores(
                losses: LossItemTests.bits.map { Float(bitPattern: $0 ^ UInt32(place)) },
                correct: hasLabels ? (0..<samples).map { UInt32($0 + place) } : [])
        }
        let read = try LossItem.scores(in: LossItem.result(scores), expansions: 3, samples: samples)
        #expect(read.map { $0.losses.map(\.bitPattern) } == scores.map { $0.losses.map(\.bitPattern) })
        #expect(read.map(\.correct) == scores.map(\.correct))
    }

    /// IEEE 754 binary32: 1 = 3f800000, 2.5 = 40200000, 0.1 = 3dcccccd.
    @Test("a result is a flag, float32 losses and uint32 counts, little-endian")
    func resultIsAsDocumented() {
        let scores = [
            SampleScores(losses: [1, 2.5], correct: [1, 258]),
            SampleScores(losses: [0.1, 0], correct: [65536, 0]),
        ]
        let losses: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0x20, 0x40, 0xCD, 0xCC, 0xCC, 0x3D, 0, 0, 0, 0]
        let correct: [UInt8] = [1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
        #expect(LossItem.result(scores) == [1] + losses + correct)
        let unlabelled = scores.map { SampleScores(losses: $0.losses, correct: []) }
        #expect(LossItem.result(unlabelled) == [0] + losses)
    }

    @Test("a result of another shape is an error")
    func resultsOfAnotherShapeAreRefused() throws {
        let score = SampleScores(losses: [1, 2, 3], correct: [1, 0, 1])
        let result = LossItem.result([score, score])
        try LossItem.check(result, expansions: 2, samples: 3)
        for (expansions, samples) in [(1, 3), (3, 3), (2, 2), (2, 4)] {
            #expect(throws: WorkMismatch.self) {
                try LossItem.check(result, expansions: expansions, samples: samples)
            }
        }
        var unknown = result
        unknown[0] = 2
        for wrong in [[], Array(result.dropLast()), result + [0], unknown] {
            #expect(throws: WorkMismatch.self) { try LossItem.scores(in: wrong, expansions: 2, samples: 3) }
        }
    }

    @Test("hints are read back; places that are none, and bytes that are no hints, are passed over")
    func hintsComeBack() {
        let item = LossItem(
            state: Variant(.empty), block: BlockID(shard: 0, index: 0), samples: [0],
            units: (0..<5).map { Unit(Edge(node: $0, slot: 0)) })
        #expect(item.reuseHints(LossItem.hints([0, 3, 4])) == [0, 3, 4])
        #expect(item.reuseHints(LossItem.hints([])) == [])
        #expect(item.reuseHints(LossItem.hints([1, 5, 2])) == [1, 2])
        #expect(item.reuseHints([1, 2, 3]) == [])
    }
}

@Suite("A race that is offered a result")
struct AdoptionTests {
    /// A race, with some expansions of one state on one of its blocks.
    private struct Case {
        var race: LevelRace
        let oracle: LossOracle
        /// All expansions of a state, and one of its blocks.
        let item: LossItem

        init(_ seed: UInt64) throws {
            let subject = try RandomProblem(seed: seed, nodes: 4...6, kind: .realistic)
            var random = SplitMix64(seed: seed)
            let level = subject.level(keep: 1, objective: .absolute, using: &random)
            race = LevelRace(level, division: subject.division)
            oracle = subject.oracle
            let parent = Int.random(in: level.parents.indices, using: &random)
            let blocks = level.parents[parent].blocks
            let place = Int.random(in: blocks.ids.indices, using: &random)
            item = LossItem(
                state: level.parents[parent].variant, block: blocks.ids[place],
                samples: blocks.samples[place],
                units: level.expansions.filter { $0.parent == parent }.map(\.unit))
        }

        /// The result of what is like the item, but for this.
        func record(
            units: [Unit?]? = nil, samples: [Int]? = nil, block: BlockID? = nil, state: Variant? = nil,
            stage: Int? = nil, kind: WorkKind = LossItem.kind
        ) -> WorkRecord {
            let other = LossItem(
                state: state ?? item.state, block: block ?? item.block, samples: samples ?? item.samples,
                units: units ?? item.units)
            return WorkRecord(
                key: WorkKey(kind: kind, stage: stage ?? race.stage, payload: other.payload),
                result: LossItem.result(oracle.scores(other)))
        }
    }

    private let unknown = Unit(Edge(node: 99, slot: 0))

    @Test("takes that part of it that is about its own expansions, in whatever grouping", arguments: 0..<20)
    func takesPart(seed: Int) throws {
        var subject = try Case(UInt64(seed) &+ 31_000)
        let own = Array(subject.item.units.reversed().prefix(2))
        let record = subject.record(units: [unknown, own[0], nil] + own.dropFirst() + [own[0]])
        guard case .part(let item, let result) = subject.race.adopt(record) else {
            Issue.record("it is not taken")
            return
        }
        let part = try LossItem(payload: item.key.payload)
        #expect(part.units == own && part.state == subject.item.state && part.block == subject.item.block)
        #expect(item.pieces.count == own.count && Set(item.pieces).count == own.count)
        try subject.race.check(result, of: item)
        #expect(result == (try subject.oracle.result(of: item)))
        #expect(subject.race.workSoFar.blockEvaluations == 0, "what is offered is not yet folded")
        #expect(subject.race.needs(item))
        _ = subject.race.fold(item, result)
        #expect(subject.race.workSoFar.blockEvaluations == own.count)
        #expect(!subject.race.needs(item))
    }

    @Test("takes a result of an earlier stage on the same block, for the losses are the same")
    func takesEarlierStages() throws {
        var subject = try Case(31_100)
        guard case .part(let item, _) = subject.race.adopt(subject.record(stage: subject.race.stage - 1))
        else {
            Issue.record("it is not taken")
            return
        }
        #expect(item.key.stage == subject.race.stage)
    }

    @Test("puts a result of a later stage by, whatever its kind")
    func putsByLaterStages() throws {
        var subject = try Case(31_200)
        let (record, stage) = (subject.record(stage: subject.race.stage + 1), subject.race.stage + 1)
        #expect(subject.race.adopt(record) == .later)
        #expect(subject.race.adopt(subject.record(stage: stage, kind: WorkKind("averages"))) == .later)
    }

    @Test("has no use for other samples, blocks, states, units or kinds")
    func passesOverOthers() throws {
        var subject = try Case(31_300)
        let samples = subject.item.samples
        let useless = [
            subject.record(samples: samples + [samples[0]]),
            subject.record(samples: samples.map { $0 + 1 }),
            subject.record(block: BlockID(shard: 9, index: 9)),
            subject.record(state: subject.item.state.removing(unknown)),
            subject.record(units: [unknown, nil]),
            subject.record(kind: WorkKind("averages")),
        ]
        for (index, record) in useless.enumerated() {
            #expect(subject.race.adopt(record) == .none, "number \(index)")
        }
        #expect(subject.race.adopt(subject.record()) != .none)
    }

    @Test("says of what cannot be read what is wrong with it")
    func refusesDamage() throws {
        var subject = try Case(31_400)
        let whole = subject.record()
        let damaged = [
            WorkRecord(key: whole.key, result: Array(whole.result.dropLast())),
            WorkRecord(key: whole.key, result: []),
            WorkRecord(
                key: WorkKey(kind: LossItem.kind, stage: whole.key.stage, payload: [1, 2]),
                result: whole.result),
        ]
        for (index, record) in damaged.enumerated() {
            guard case .wrong(let mismatch) = subject.race.adopt(record) else {
                Issue.record("number \(index) is not refused")
                continue
            }
            #expect(!mismatch.description.isEmpty)
        }
        guard case .part = subject.race.adopt(whole) else {
            Issue.record("the whole one is refused")
            return
        }
    }
}
