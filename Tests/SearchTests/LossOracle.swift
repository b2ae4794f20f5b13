import ComputationGraph
import Datasets
import Foundation
import Work

@testable import Search

/// Losses that are a hash of mask and sample: the same whoever asks, in whatever order.
struct LossOracle: Sendable {
    enum Kind: CaseIterable {
        /// Log-normal base losses, which every removal raises or lowers a little, sample by sample.
        case realistic
        /// A handful of values, so that totals tie.
        case ties
        /// Now and then NaN or an infinity.
        case broken
        /// Mostly zeros.
        case zeros
        /// Half of them below zero: they count as zero.
        case negative
        /// One sample in ten outweighs all others.
        case heavyTailed
        /// Sums that lose their small terms to rounding.
        case extreme
    }

    let seed: UInt64
    let kind: Kind
    let weights: [Float]
    /// Whether its losses are those after a recovery: other ones than at the cut, but for the full model.
    var isRecovered = false
    /// The full model's losses of a realistic oracle: most samples are easy, few are hard.
    private let bases: [Float]

    init(seed: UInt64, kind: Kind, weights: [Float]) {
        self.seed = seed
        self.kind = kind
        self.weights = weights
        bases =
            kind != .realistic
            ? []
            : weights.indices.map { sample in
                // e to a rough normal variate of standard deviation 1.5.
                let normal = (0..<6).reduce(-3) {
                    $0 + LossOracle.uniform(LossOracle.hash(seed, [], sample, 10 + UInt64($1)))
                }
                return 0.05 * Float(exp(Double(normal) * 1.5 / 0.707))
            }
    }

    func scores(_ item: LossItem) -> [SampleScores] {
        item.variants.map { variant in
            var oracle = self
            oracle.isRecovered = !variant.recovery.isNone
            return oracle.losses(variant.mask, samples: item.samples)
        }
    }

    func result(of item: WorkItem) throws -> [UInt8] {
        LossItem.result(scores(try LossItem(payload: item.key.payload)))
    }

    func losses(_ mask: Mask, samples: [Int]) -> SampleScores {
        SampleScores(
            losses: samples.map { loss(mask, $0) },
            correct: seed % 2 == 0 ? [] : samples.map { UInt32(hash(mask, $0, 1) % 2) })
    }

    private func loss(_ mask: Mask, _ sample: Int) -> Float {
        let h = hash(mask, sample, 2)
        let u = LossOracle.uniform(h)
        switch kind {
        case .realistic:
            var factor: Float = 1
            for unit in mask.units {
                let strength = LossOracle.uniform(LossOracle.hash(ownSeed, CollectionOfOne(unit), -1, 3))
                let effect = LossOracle.uniform(LossOracle.hash(ownSeed, CollectionOfOne(unit), sample, 4))
                factor += strength * strength * 20 * (effect - 0.1)
            }
            return bases[sample] * max(factor, 0.01) + (mask.isEmpty ? 0 : 0.02 * u)
        case .ties: return [0, 0, 0.5, 1][Int(h % 4)]
        case .broken:
            // The full model's loss has to be a number where it counts.
            if !mask.isEmpty || weights[sample] == 0 {
                switch h % 41 {
                case 0: return .nan
                case 1: return .infinity
                case 2: return -.infinity
                default: break
                }
            }
            return u
        case .zeros: return h % 9 == 0 ? u : 0
        case .negative: return u - 0.5
        case .heavyTailed: return h % 10 == 0 ? 100 * u : 0.01 * u
        case .extreme: return [1e30, 1, 1e-30, 0, .leastNonzeroMagnitude, 16_777_216][Int(h % 6)] * u
        }
    }

    private func hash(_ mask: Mask, _ sample: Int, _ purpose: UInt64) -> UInt64 {
        LossOracle.hash(mask.isEmpty ? seed : ownSeed, mask.units, sample, purpose)
    }

    /// The seed of what is pruned.
    private var ownSeed: UInt64 { isRecovered ? ~seed : seed }

    private static func uniform(_ h: UInt64) -> Float { Float(h >> 40) / Float(1 << 24) }

    private static func hash(
        _ seed: UInt64, _ units: some Sequence<ComputationGraph.Unit>, _ sample: Int, _ purpose: UInt64
    )
        -> UInt64
    {
        var state = seed &+ purpose &* 0x9E37_79B9_7F4A_7C15
        for unit in units {
            state = mixed(state ^ UInt64(unit.edge.node * 31 + unit.edge.slot + 1))
            for range in unit.root.positions?.ranges ?? [] {
                state = mixed(state ^ UInt64(range.lowerBound << 16 | range.upperBound))
            }
        }
        return mixed(state ^ UInt64(bitPattern: Int64(sample)) &* 0xD6E8_FEB8_6659_FD93)
    }

    private static func mixed(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x1234_5678_9ABC_DEF1
        z = (z ^ (z >> 32)) &* 0xD6E8_FEB8_6659_FD93
        z = (z ^ (z >> 29)) &* 0xD6E8_FEB8_6659_FD93
        return z ^ (z >> 32)
    }
}

extension LocalRunner {
    /// A runner in this process whose losses are an oracle's.
    convenience init(
        _ oracle: LossOracle, journal: (any WorkJournal)? = nil,
        progress: @escaping (any WorkSource) throws -> Void = { _ in }
    ) {
        self.init(journal: journal, progress: progress) { item, _, _ in oracle.scores(item) }
    }
}

extension LevelRace {
    /// What a task of the race is about.
    func item(_ task: RaceTask) -> LossItem {
        let blocks = level.parents[task.parent].blocks
        return LossItem(
            state: level.parents[task.parent].variant, block: blocks.ids[task.place],
            samples: blocks.samples[task.place], units: task.expansions.map { level.expansions[$0].unit })
    }

    /// Takes an oracle's scores of a task.
    mutating func fold(_ task: RaceTask, by oracle: LossOracle) { fold(task, oracle.scores(item(task))) }
}
