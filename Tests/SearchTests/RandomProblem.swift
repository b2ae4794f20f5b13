import ComputationGraph
import Datasets
import Foundation
import ONNX
import Search
import Work

/// A made-up search problem: a random graph, random division of samples, and losses out of a hash.
struct RandomProblem {
    let problem: SearchProblem
    let oracle: LossOracle
    var graph: Graph { problem.graph }
    var division: SampleDivision { problem.division }

    init(problem: SearchProblem, oracle: LossOracle) {
        self.problem = problem
        self.oracle = oracle
    }

    /// - Parameters:
    ///   - nodes: how many layers the graph has.
    ///   - kind: what the losses are like; one of the seed's choice unless given.
    ///   - hasNeurons: whether some layers have neurons, which may go in pairs beside the edges.
    init(
        seed: UInt64, nodes: ClosedRange<Int> = 2...5, samples: ClosedRange<Int> = 3...16,
        kind: LossOracle.Kind? = nil, hasNeurons: Bool = false
    )
        throws
    {
        var random = SplitMix64(seed: seed)
        let graph = try Graph.random(
            nodes: .random(in: nodes, using: &random), hasNeurons: hasNeurons, using: &random)
        let count = Int.random(in: samples, using: &random)
        let sharding = try Sharding(
            samples: count, shards: .random(in: 1...min(4, count), using: &random),
            blockSize: .random(in: 1...max(1, count / 3), using: &random))
        let shapes: [[Int]?] = graph.values.map { $0.constant?.shape ?? [1, $0.name.hasPrefix("h") ? 6 : 4] }
        graph.useSizes(shapes)
        var units = UnitSelection(kinds: hasNeurons ? [.edge, .neurons] : [.edge])
        units.chunking.chunks[.neurons] = 3
        problem = SearchProblem(
            graph: graph, candidates: try Candidates(of: graph, selection: .all, units: units),
            costs: CostModel(graph: graph, shapes: shapes, samples: 1),
            division: SampleDivision(
                sharding: sharding, weights: RandomProblem.weights(count, using: &random)),
            // One label a sample, which `LossOracle` predicts or not.
            countedLabels: LabelCounts(perSample: [Int](repeating: 1, count: count)))
        oracle = LossOracle(
            seed: random.next(),
            kind: kind ?? LossOracle.Kind.allCases.randomElement(using: &random) ?? .realistic,
            weights: problem.division.weights)
    }

    /// The same problem, of which everything is measured after a recovery on some data.
    var recovered: RandomProblem {
        var (problem, oracle) = (problem, oracle)
        problem.fitData = RandomProblem.fitData
        oracle.isRecovered = true
        return RandomProblem(problem: problem, oracle: oracle)
    }

    /// What recoveries fit on.
    static let fitData = ContentID(sha256: [UInt8](repeating: 7, count: 32), size: 100)

    /// Ones, token counts, fractions, or mostly zeros.
    private static func weights(_ count: Int, using random: inout SplitMix64) -> [Float] {
        let kind = Int.random(in: 0..<4, using: &random)
        var weights = (0..<count).map { _ -> Float in
            switch kind {
            case 0: 1
            case 1: Float(Int.random(in: 0...7, using: &random))
            case 2: Float.random(in: 0..<3, using: &random)
            default: Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0
            }
        }
        if !weights.contains(where: { $0 > 0 }) { weights[count / 2] = 2 }
        return weights
    }

    /// A level of all expansions of some random masks, the way a search would ask for it.
    func level(
        keep: Int, objective: Objective, maximumIncrease: Double = .infinity, using random: inout SplitMix64
    ) -> Level {
        let base = NaiveSearch(self, objective: objective).base
        let blocks = BlockList(hardestFirst: state(.empty), division)
        var parents: [FrontierState] = []
        var expansions: [Expansion] = []
        var seen: Set<Mask> = []
        for size in [0, 0, 1, 2] {
            var mask = Mask.empty
            for _ in 0..<size {
                guard
                    let unit = problem.candidates.expansions(of: mask, in: graph).randomElement(
                        using: &random)
                else { break }
                mask = mask.removing(unit)
            }
            let own = problem.candidates.expansions(of: mask, in: graph).map { ($0, mask.removing($0)) }
                .filter { seen.insert($0.1).inserted }
            guard !own.isEmpty, !parents.contains(where: { $0.variant.mask == mask }) else { continue }
            expansions += own.map { unit, mask in
                Expansion(
                    parent: parents.count, unit: unit, variant: Variant(mask),
                    cost: problem.costs.cost(of: mask))
            }
            parents.append(FrontierState(state(mask), on: blocks, division))
        }
        return Level(
            number: 1, parents: parents, expansions: expansions, keep: keep, baseLoss: base.loss,
            objective: objective,
            maximumIncrease: maximumIncrease)
    }

    /// A state of which nothing but the losses of its samples is known.
    private func state(_ mask: Mask) -> State {
        let losses = oracle.losses(mask, samples: Array(0..<division.sharding.samples)).losses
        return State(
            variant: Variant(mask), unit: nil, loss: 0, objective: 0, correct: nil, sampleLosses: losses,
            cost: problem.costs.cost(of: mask))
    }
}

extension Graph {
    /// A chain with random skips: every layer reads the one before it or an earlier one, and no shapes matter.
    static func random(nodes: Int, hasNeurons: Bool, using random: inout SplitMix64) throws -> Graph {
        var proto = ModelProto()
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        proto.graph.input = [ValueInfoProto(name: "x", .float32, shape: [1, 4])]
        var weight = TensorProto()
        weight.name = "w"
        weight.dataType = Int32(ElementType.float32.rawValue)
        weight.dims = [4, 4]
        weight.rawData = Data(count: 64)
        proto.graph.initializer = [weight]
        for (name, shape) in hasNeurons ? [("wide", [4, 6]), ("narrow", [6, 4])] : [] {
            let numbers = (0..<24).map { Float($0 * 7 % 24) }
            proto.graph.initializer.append(
                TensorProto(name: name, try TensorData(floats: numbers, shape: shape)))
        }
        var names = ["x"]
        for index in 0..<nodes {
            let previous = names[names.count - 1]
            let other = names.randomElement(using: &random) ?? previous
            if hasNeurons, Int.random(in: 0..<3, using: &random) == 0 {
                // Six neurons, which may go in pairs.
                proto.graph.node += [
                    NodeProto("MatMul", inputs: [previous, "wide"], outputs: ["h\(index)"]),
                    NodeProto("MatMul", inputs: ["h\(index)", "narrow"], outputs: ["v\(index)"]),
                ]
                names.append("v\(index)")
                continue
            }
            let (operation, inputs): (String, [String]) =
                switch Int.random(in: 0..<8, using: &random) {
                case 0, 1: ("Add", [previous, other])
                case 2: ("Concat", [other, previous])
                case 3: ("Mul", [previous, other])
                case 4: ("Relu", [previous])
                case 5: ("Sigmoid", [previous])
                default: ("MatMul", [previous, "w"])
                }
            proto.graph.node.append(NodeProto(operation, inputs: inputs, outputs: ["v\(index)"]))
            names.append("v\(index)")
        }
        // One addition at the end, so that there is always something to remove.
        proto.graph.node.append(
            NodeProto("Sum", inputs: [names[names.count - 1], names[1], "x"], outputs: ["y"]))
        proto.graph.output = [ValueInfoProto(name: "y", .float32, shape: [1, 4])]
        return try Graph(ModelFile(unchecked: proto))
    }
}
