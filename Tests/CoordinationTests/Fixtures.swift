import ComputationGraph
import Datasets
import Search
import Work

@testable import Coordination

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
            number: 0, parents: [FrontierState(unmeasured: Variant(.empty), division)],
            expansions: [
                Expansion(
                    parent: 0, unit: nil, variant: Variant(.empty), cost: Cost(parameters: 100, flops: 100))
            ],
            keep: 1, baseLoss: 0, objective: .absolute)
    }

    /// The race for the full model's measurement.
    func begin(usesBounds: Bool = false, recorded: [WorkRecord] = []) -> CoordinatorEvent {
        .begin(LevelRace(base, division: division, usesBounds: usesBounds), recorded: recorded)
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
                    parameters: 100 - mask.count,
                    flops: 100 - mask.units.map(\.edge).reduce(0) { $0 + $1.slot })
                expansions.append(
                    Expansion(parent: index, unit: Unit(edge), variant: Variant(mask), cost: cost))
            }
        }
        let blocks = BlockList(hardestFirst: states[0], division)
        return Level(
            number: number, parents: states.map { FrontierState($0, on: blocks, division) },
            expansions: expansions,
            keep: keep, baseLoss: baseLoss, objective: .absolute)
    }

    func run(shardsOf session: UInt64 = 1, heartbeat: Duration = .seconds(1)) -> RunDescription {
        RunDescription(
            session: session, modelPath: "model.onnx", modelSHA256: [UInt8](repeating: 1, count: 32),
            dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, setup: "kl",
            sharding: division.sharding, heartbeat: heartbeat)
    }
}

/// The key of some expansions of a state on a block.
func lossKey(
    _ stage: Int = 1, state: Mask = .empty, block: BlockID = BlockID(shard: 0, index: 0),
    samples: [Int] = [0, 1], units: [Unit?] = [nil]
) -> WorkKey {
    WorkKey(
        kind: LossItem.kind, stage: stage,
        payload: LossItem(state: Variant(state), block: block, samples: samples, units: units).payload)
}

/// The bytes of losses, one list per expansion.
func lossResult(_ losses: [Float]...) -> [UInt8] {
    LossItem.result(losses.map { SampleScores(losses: $0, correct: []) })
}
