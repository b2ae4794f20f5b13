internal import ComputationGraph
internal import Datasets
internal import Foundation
internal import ONNX
public import Search
internal import Training
internal import Work

/// A search that is small enough for thousands a second, with losses out of a hash instead of a model.
public struct SimulatedProblem: Sendable {
    /// The graph, its candidates and the samples.
    public let problem: SearchProblem
    /// How it is searched.
    public let settings: SearchSettings
    let seed: UInt64
    /// Some masks have losses that are no numbers.
    let hasNonFiniteLosses: Bool
    /// What refits the weights before they are measured, in half of the worlds.
    let recovery: Recovery
    /// Losses of very different sizes, so that their sums depend on the order of adding.
    let hasWideLosses: Bool

    /// The problem of a seed.
    ///
    /// - Throws: what the graph's construction throws: a defect of this file.
    public init(seed: UInt64) throws {
        self.seed = seed
        var random = SplitMix64(seed: seed ^ 0xC0FFEE)
        func draw(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }
        let samples = draw(6...20)
        let division = SampleDivision(
            sharding: try Sharding(
                samples: samples, shards: draw(1...3), blockSize: draw(3...6)),
            weights: (0..<samples).map { Float(1 + $0 % 3) })
        let graph = SimulatedProblem.graphs[draw(0...(SimulatedProblem.graphs.count - 1))]
        problem = SearchProblem(
            graph: graph.graph, candidates: graph.candidates, costs: graph.costs, division: division)
        var settings = SearchSettings(
            strategy: [.greedy, .greedy, .beam(width: 2), .beam(width: 3), .exhaustive][draw(0...4)],
            objective: draw(0...3) == 0 ? .signed : .absolute, steps: draw(1...3), usesBounds: draw(0...2) > 0
        )
        hasNonFiniteLosses = draw(0...9) == 0
        hasWideLosses = draw(0...1) == 0
        // Where weights are trained, those of each state are what its expansions start from.
        recovery =
            [1, 4, 5].contains(seed % 6)
            ? Recovery([.leastSquares], training: seed % 4 == 1 ? ShortTraining(steps: 1) : nil) : .none
        if !recovery.isNone {
            settings.recovery = recovery
            if settings.strategy != .exhaustive, draw(0...1) == 0 {
                settings.screening = Screening(
                    perState: draw(1...2), audits: draw(0...2), seed: seed, criterion: .lossAtCut)
            }
        }
        self.settings = settings
    }

    /// Scores of samples under a mask, the same wherever they are computed; other ones after a recovery.
    func scores(of variant: Variant, _ samples: [Int]) -> SampleScores {
        let mask = variant.mask
        var hash = seed &* 0x9E37_79B9_7F4A_7C15
        if !variant.recovery.isNone, !mask.isEmpty { hash = mix(hash) }
        if let weights = variant.weights { hash = mix(hash ^ UInt64(weights.size)) }
        for unit in mask.units {
            hash = mix(hash ^ UInt64(unit.edge.node << 8 | unit.edge.slot))
            for range in unit.root.positions?.ranges ?? [] {
                hash = mix(hash ^ UInt64(range.lowerBound << 16 | range.upperBound))
            }
        }
        // A share that all samples have makes some masks better than others, so that bounds can bite.
        let common = Float(mask.isEmpty ? 0 : mix(hash) % 1000) / 500
        var losses: [Float] = []
        var correct: [UInt32] = []
        for sample in samples {
            let own = mix(hash ^ UInt64(sample) &* 0xD134_2543_DE82_EF95)
            let isOdd = hasNonFiniteLosses && !mask.isEmpty && own % 23 == 0
            var loss = common + Float(own % 4096) / 1021
            // Powers of two from 2⁻³⁰ to 2⁹, more than the bits of a double beyond those of a float.
            if hasWideLosses {
                loss *= Float(sign: .plus, exponent: Int((own >> 32) % 40) - 30, significand: 1)
            }
            losses.append(isOdd ? (own % 2 == 0 ? .nan : .infinity) : loss)
            correct.append(UInt32(own >> 60) & 1)
        }
        return SampleScores(losses: losses, correct: correct)
    }

    private func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The kinds of work that its run consists of.
    var kinds: [any SimulatedKind] {
        [
            SimulatedLosses(problem: self), SimulatedStatistics(problem: self), SimulatedGradients(),
            SimulatedWeights(),
        ]
    }

    /// What the run comes to, as text: the same to the bit whoever does the work.
    func outcome(on runner: any WorkRunner) async throws -> [String] {
        // Every run has the search; every other one the other sources that runs have before and beside it.
        guard seed.isMultiple(of: 2) else { return try await searched(on: runner) }
        let blocks = BlockList(naturalOrder: problem.division)
        // A part for each block, two parts at least, or one for each shard.
        let elements = [6, 1 << 24, 1 << 26][Int(seed / 2 % 3)]
        let statistics = try await runner.run(
            StatisticsSource(groups: [[0, 1], [2]], blocks: blocks, elements: elements))
        var lines = statistics.totals().sorted { $0.key < $1.key }.map {
            "\($0.key) \($0.value.sums.map(\.bitPattern)) \($0.value.count)"
        }
        lines += try await searched(on: runner)
        return lines
    }

    /// What a list of masks comes to; measured instead of a search in half of the worlds.
    private func listed(on runner: any WorkRunner) async throws -> [String] {
        let variants =
            [Variant(.empty)]
            + problem.candidates.units.prefix(4).map { Variant(Mask([$0]), recovery: recovery) }
        let source = try await runner.run(
            MaskListSource(variants, division: problem.division, fitData: try await fitData(on: runner)))
        return variants.map { variant in
            guard let state = source.state(of: variant, cost: Cost(parameters: 0, flops: 0)) else {
                return "?"
            }
            return "\(state.mask) \(state.loss.bitPattern) \(state.correct ?? -1)"
        }
    }

    /// Whether a few steps are trained in the place of a search.
    public var trains: Bool { seed % 7 == 6 }

    /// What a few steps of training come to; trained instead of a search in some worlds.
    private func trained(on runner: any WorkRunner) async throws -> [String] {
        let isAdam = seed % 2 == 0
        let recipe = TrainingRecipe(
            optimizer: isAdam ? .usualAdamW : .sgd(momentum: 0.9), rate: 0.1, warmup: 1, steps: 4,
            batch: 5 + Int(seed / 7 % 8), microBatch: 1 + Int(seed / 3 % 3), weightDecay: 0.01, clip: 1,
            objective: TrainingObjective(seed: seed))
        let weights = TrainedWeights(
            (0..<SimulatedGradients.elements).map { Float($0) },
            parts: [
                TrainedWeights.Part(count: 2, decays: true),
                TrainedWeights.Part(count: SimulatedGradients.elements - 2, decays: false),
            ], optimizer: recipe.optimizer)
        let sharding = problem.division.sharding
        var trainer = Trainer(
            TrainingSubject(
                mask: Mask(problem.candidates.units.prefix(1)), values: [0, 1],
                elements: SimulatedGradients.elements, objective: recipe.objective),
            recipe, weights: weights, shards: (0..<sharding.shards).map { Array(sharding.shardRange($0)) })
        var lines: [String] = []
        while trainer.steps < recipe.steps {
            let step = try await trainer.step(on: runner)
            lines.append("\(step.loss.bitPattern) \(step.gradientNorm.bitPattern)")
        }
        return lines + trainer.weights.elements.map { "\($0.bitPattern)" }
    }

    private func searched(on runner: any WorkRunner) async throws -> [String] {
        if trains { return try await trained(on: runner) }
        if seed % 3 == 2 { return try await listed(on: runner) }
        var problem = problem
        problem.fitData = try await fitData(on: runner)
        try await problem.orderSlices(on: runner)
        return try await Search(problem, settings: settings, runner: runner).run().fingerprint
    }

    /// What recoveries fit on; `nil` where nothing is recovered.
    private func fitData(on runner: any WorkRunner) async throws -> ContentID? {
        recovery.isNone ? nil : try await runner.provide([UInt8](repeating: 1, count: 64))
    }

    /// The name of a content, of which nobody reads more than the size.
    static func content(of bytes: [UInt8]) -> ContentID {
        ContentID(sha256: [UInt8](repeating: 0, count: 32), size: bytes.count)
    }

    /// What the run comes to in one process, item by item.
    func expected() async throws -> [String] {
        let kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.kind, $0) })
        let local = LocalRunner(name: SimulatedProblem.content(of:)) { item, _ in
            guard let kind = kinds[item.key.kind] else {
                throw SimulationFailure("there is no work of the kind \(item.key.kind)")
            }
            return kind.result(of: item.key)
        }
        return try await outcome(on: local)
    }

    // MARK: Graphs

    private struct Prepared: Sendable {
        let graph: Graph
        let candidates: Candidates
        let costs: CostModel
    }

    /// Chains with skips, half of them with neurons that may go in pairs, whose order data may give. Graphs take longer to make than to search, so there are a few.
    private static let graphs: [Prepared] = (0..<16).compactMap { number in
        var random = SplitMix64(seed: UInt64(number))
        guard let graph = try? graph(nodes: 1 + number % 3, hasNeurons: number >= 8, using: &random) else {
            return nil
        }
        let shapes: [[Int]?] = graph.values.map { $0.constant?.shape ?? [1, $0.name == "h" ? 6 : 4] }
        graph.useSizes(shapes)
        var units = UnitSelection(kinds: [.edge, .neurons])
        units.chunking.chunks[.neurons] = 3
        if number >= 11 { units.chunking.order = .wanda }
        units.chunking.isRenewed = number >= 13
        guard let candidates = try? Candidates(of: graph, selection: .all, units: units) else { return nil }
        return Prepared(
            graph: graph, candidates: candidates,
            costs: CostModel(graph: graph, shapes: shapes, samples: 1))
    }

    private static func graph(nodes: Int, hasNeurons: Bool, using random: inout SplitMix64) throws -> Graph {
        var proto = ModelProto()
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        proto.graph.input = [ValueInfoProto(name: "x", .float32, shape: [1, 4])]
        var names = ["x"]
        for index in 0..<nodes {
            let previous = names[names.count - 1]
            let other = names.randomElement(using: &random) ?? previous
            let (operation, inputs): (String, [String]) =
                Bool.random(using: &random) ? ("Add", [previous, other]) : ("Relu", [previous])
            proto.graph.node.append(NodeProto(operation, inputs: inputs, outputs: ["v\(index)"]))
            names.append("v\(index)")
        }
        if hasNeurons {
            for (name, shape) in [("wide", [4, 6]), ("narrow", [6, 4])] {
                let numbers = (0..<24).map { Float($0 * 7 % 24) }
                proto.graph.initializer.append(
                    TensorProto(name: name, try TensorData(floats: numbers, shape: shape)))
            }
            proto.graph.node += [
                NodeProto("MatMul", inputs: [names[names.count - 1], "wide"], outputs: ["h"]),
                NodeProto("MatMul", inputs: ["h", "narrow"], outputs: ["n"]),
            ]
            names.append("n")
        }
        proto.graph.node.append(
            NodeProto("Sum", inputs: [names[names.count - 1], names[1], "x"], outputs: ["y"]))
        proto.graph.output = [ValueInfoProto(name: "y", .float32, shape: [1, 4])]
        return try Graph(ModelFile(unchecked: proto))
    }
}

extension SearchResult {
    /// Everything that has to be the same to the bit, as text.
    var fingerprint: [String] {
        ([[base]] + levels + [path]).map { states in
            states.map { state in
                "\(state.mask) \(state.loss.bitPattern) \(state.objective.bitPattern) \(state.correct ?? -1) "
                    + "\(state.sampleLosses.map(\.bitPattern)) \(state.nonFiniteLosses) "
                    + "\(state.lossAtCut.map { "\($0.bitPattern)" } ?? "-") \(state.weights?.description ?? "-")"
            }.joined(separator: "; ")
        } + (screening.map { report in report.levels.map { "\($0)" } } ?? [])
    }
}
