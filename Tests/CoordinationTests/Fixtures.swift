import ComputationGraph
import Datasets
import Search

@testable import Coordination

/// A loss function that needs no model: a hash of mask, expansion and sample.
enum SyntheticLoss {
    /// The same scores for the same work, wherever it is computed.
    static func scores(state: Mask, edge: Edge?, samples: [Int], seed: UInt64) -> SampleScores {
        let mask = edge.map { state.removing($0) } ?? state
        var hash = seed &* 0x9E37_79B9_7F4A_7C15
        for edge in mask.edges { hash = mix(hash ^ UInt64(edge.node << 8 | edge.slot)) }
        // A share that all samples have makes some masks better than others, so that bounds can bite.
        let common = Float(mask.isEmpty ? 0 : mix(hash) % 1000) / 500
        var losses: [Float] = []
        var correct: [UInt32] = []
        for sample in samples {
            let own = mix(hash ^ UInt64(sample) &* 0xD134_2543_DE82_EF95)
            losses.append(common + Float(own % 4096) / 1024)
            correct.append(UInt32(own >> 60) & 1)
        }
        return SampleScores(losses: losses, correct: correct)
    }

    static func scores(_ assignment: Assignment, seed: UInt64) -> [SampleScores] {
        assignment.edges.map {
            scores(state: assignment.state, edge: $0, samples: assignment.samples, seed: seed)
        }
    }

    static func scores(_ task: LevelTask, seed: UInt64) -> [SampleScores] {
        task.edges.map { scores(state: task.state, edge: $0, samples: task.samples, seed: seed) }
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A small search: so many samples, shards and candidate edges.
struct SmallProblem {
    let division: SampleDivision
    let edges: [Edge]
    let keep: Int

    init(samples: Int, shards: Int, blockSize: Int, edges: Int, keep: Int) throws {
        division = SampleDivision(
            sharding: try Sharding(samples: samples, shards: shards, blockSize: blockSize),
            weights: (0..<samples).map { Float(1 + $0 % 3) })
        self.edges = (0..<edges).map { Edge(node: $0, slot: $0 % 2) }
        self.keep = keep
    }

    /// The measurement of the full model.
    var base: Level {
        Level(
            number: 0, parents: [Parent(unmeasured: .empty, division)],
            expansions: [
                Expansion(parent: 0, edge: nil, mask: .empty, cost: Cost(parameters: 100, flops: 100))
            ],
            keep: 1, baseLoss: 0, objective: .absolute)
    }

    /// The level after `states`.
    func level(_ number: Int, after states: [State], baseLoss: Double) -> Level {
        var seen: Set<Mask> = []
        var expansions: [Expansion] = []
        for (index, state) in states.enumerated() {
            for edge in edges where !state.mask.contains(edge) {
                let mask = state.mask.removing(edge)
                guard seen.insert(mask).inserted else { continue }
                let cost = Cost(
                    parameters: 100 - mask.count, flops: 100 - mask.edges.reduce(0) { $0 + $1.slot })
                expansions.append(Expansion(parent: index, edge: edge, mask: mask, cost: cost))
            }
        }
        return Level(
            number: number, parents: states.map { Parent($0, division) }, expansions: expansions, keep: keep,
            baseLoss: baseLoss, objective: .absolute)
    }

    func run(shardsOf session: UInt64 = 1, heartbeat: Duration = .seconds(1)) -> RunDescription {
        RunDescription(
            session: session, modelPath: "model.onnx", modelSHA256: [UInt8](repeating: 1, count: 32),
            dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, loss: "kl",
            sharding: division.sharding, heartbeat: heartbeat)
    }
}

/// What must be the same wherever and however a level was computed, to the bit.
struct Outcome: Equatable {
    struct Best: Equatable {
        let mask: Mask
        let loss: UInt64
        let objective: UInt64
        let correct: Int?
        let sampleLosses: [UInt32]
    }

    let best: [Best]
    let candidates: Int
    let bruteForce: Int

    init(_ outcome: LevelOutcome) {
        best = outcome.best.map {
            Best(
                mask: $0.mask, loss: $0.loss.bitPattern, objective: $0.objective.bitPattern,
                correct: $0.correct,
                sampleLosses: $0.sampleLosses.map(\.bitPattern))
        }
        candidates = outcome.work.candidates
        bruteForce = outcome.work.bruteForceBlockEvaluations
    }
}
