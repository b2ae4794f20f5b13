import ComputationGraph
import Datasets
import Search

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
                    parameters: 100 - mask.count, flops: 100 - mask.units.map(\.edge).reduce(0) { $0 + $1.slot })
                expansions.append(Expansion(parent: index, edge: edge, mask: mask, cost: cost))
            }
        }
        let blocks = BlockList(hardestFirst: states[0], division)
        return Level(
            number: number, parents: states.map { Parent($0, on: blocks, division) }, expansions: expansions,
            keep: keep, baseLoss: baseLoss, objective: .absolute)
    }

    func run(shardsOf session: UInt64 = 1, heartbeat: Duration = .seconds(1)) -> RunDescription {
        RunDescription(
            session: session, modelPath: "model.onnx", modelSHA256: [UInt8](repeating: 1, count: 32),
            dataPath: "data.npz", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, loss: "kl",
            sharding: division.sharding, heartbeat: heartbeat)
    }
}
