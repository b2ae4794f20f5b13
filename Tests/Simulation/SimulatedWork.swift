internal import ComputationGraph
internal import Search
internal import Training
internal import Work
internal import Datasets
internal import Synchronization

/// The smallest part that work consists of: what is kept of it is never computed again.
public struct WorkAtom: Hashable, Sendable {
    let kind: WorkKind
    let stage: Int
    let text: String

    init(_ key: WorkKey, _ text: String) {
        (kind, stage) = (key.kind, key.stage)
        self.text = text
    }
}

/// A kind of work as simulated workers do it.
protocol SimulatedKind: Sendable {
    var kind: WorkKind { get }
    /// The shard that a payload's samples are of; `nil` for none.
    func shard(of key: WorkKey) -> Int?
    /// What the payload consists of.
    func atoms(of key: WorkKey) -> [WorkAtom]
    /// The result, the same wherever it is computed.
    func result(of key: WorkKey) -> [UInt8]
}

/// All kinds of work of a run. What is asked of a piece of work again is not worked out again.
final class SimulatedKinds: Sendable {
    private struct Known {
        let shard: Int?
        let atoms: [WorkAtom]
        var result: [UInt8]?
    }

    private let kinds: [WorkKind: any SimulatedKind]
    private let known = Mutex<[WorkKey: Known]>([:])

    init(_ kinds: [any SimulatedKind]) {
        self.kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.kind, $0) })
    }

    func shard(of key: WorkKey) -> Int? { known.withLock { entry(key, in: &$0).shard } }

    func atoms(of key: WorkKey) -> [WorkAtom] { known.withLock { entry(key, in: &$0).atoms } }

    func result(of key: WorkKey) -> [UInt8] {
        known.withLock { known in
            var entry = entry(key, in: &known)
            if let result = entry.result { return result }
            let result = kinds[key.kind]?.result(of: key) ?? []
            entry.result = result
            known[key] = entry
            return result
        }
    }

    private func entry(_ key: WorkKey, in known: inout [WorkKey: Known]) -> Known {
        if let entry = known[key] { return entry }
        let kind = kinds[key.kind]
        let entry = Known(shard: kind?.shard(of: key), atoms: kind?.atoms(of: key) ?? [])
        known[key] = entry
        return entry
    }
}

/// Losses out of a hash instead of a model.
struct SimulatedLosses: SimulatedKind {
    let problem: SimulatedProblem
    var kind: WorkKind { LossItem.kind }

    private func item(_ key: WorkKey) -> LossItem {
        // A payload that cannot be read is a defect of the program that is simulated.
        guard let item = try? LossItem(payload: key.payload) else { preconditionFailure("no losses: \(key)") }
        return item
    }

    func shard(of key: WorkKey) -> Int? { item(key).block.shard }

    func atoms(of key: WorkKey) -> [WorkAtom] {
        let item = item(key)
        let state = item.state.description
        return item.units.map {
            WorkAtom(key, "\(state) \($0?.description ?? "-") \(item.block.shard)/\(item.block.index)")
        }
    }

    func result(of key: WorkKey) -> [UInt8] {
        let item = item(key)
        return LossItem.result(item.variants.map { problem.scores(of: $0, item.samples) })
    }
}

/// Sums out of a hash instead of a model's values.
struct SimulatedStatistics: SimulatedKind {
    let problem: SimulatedProblem
    var kind: WorkKind { StatisticsItem.kind }

    private func item(_ key: WorkKey) -> StatisticsItem {
        guard let item = try? StatisticsItem(payload: key.payload) else {
            preconditionFailure("no statistics: \(key)")
        }
        return item
    }

    func shard(of key: WorkKey) -> Int? { item(key).blocks[0].shard }

    func atoms(of key: WorkKey) -> [WorkAtom] {
        let item = item(key)
        return item.blocks.map { WorkAtom(key, "\(item.state) \(item.subject) \($0.shard)/\($0.index)") }
    }

    func result(of key: WorkKey) -> [UInt8] {
        let item = item(key)
        var sums: [ValueSum] = []
        for samples in item.samples {
            switch item.subject {
            case .values(let values): sums.add(values.map { self.sum(of: $0, over: samples) })
            case .criterion: sums.add([criterion(in: item.state, over: samples)])
            }
        }
        return StatisticsItem.result(sums)
    }

    /// A number for every neuron, another one in every state.
    private func criterion(in state: Variant, over samples: [Int]) -> ValueSum {
        let atoms = problem.problem.candidates.sliceGroups?.atomCount ?? 0
        let numbers = (0..<atoms).map { atom in
            sum(of: 100 + atom, over: samples).sums[0]
                * Double(problem.scores(of: state, [atom]).losses[0]).magnitude
        }
        return ValueSum(
            shape: [atoms], sums: numbers.map { $0.isFinite ? $0 : 0 }, count: samples.count)
    }

    /// Losses of some mask will do as numbers: of very different sizes in every other problem.
    private func sum(of value: Int, over samples: [Int]) -> ValueSum {
        let numbers = problem.scores(of: Variant(Mask([Edge(node: value, slot: 1)])), samples).losses
        let sum = numbers.reduce(0.0) { $0 + ($1.isFinite ? Double($1) : 0) }
        return ValueSum(shape: [1, 2], sums: [sum, -sum / 3], count: samples.count)
    }
}

/// Gradients out of a hash instead of a model's losses.
struct SimulatedGradients: SimulatedKind {
    /// How many weights there are.
    static let elements = 5

    var kind: WorkKind { GradientItem.kind }

    private func item(_ key: WorkKey) -> GradientItem {
        guard let item = try? GradientItem(payload: key.payload) else {
            preconditionFailure("no gradient: \(key)")
        }
        return item
    }

    func shard(of key: WorkKey) -> Int? { item(key).shard }

    func atoms(of key: WorkKey) -> [WorkAtom] {
        let item = item(key)
        return item.microBatches.indices.map { WorkAtom(key, "\(item.step) \(item.place + $0)") }
    }

    func result(of key: WorkKey) -> [UInt8] {
        let item = item(key)
        return GradientSum.inTree(item.microBatches.map { sum(of: $0.samples, at: item.step) }).bytes
    }

    /// Numbers of very different sizes, so that the order of adding shows.
    private func sum(of samples: [Int], at step: Int) -> GradientSum {
        var sum = GradientSum(
            gradient: [Float](repeating: 0, count: SimulatedGradients.elements), loss: 0, weight: 0)
        for sample in samples {
            let hash = HashedNumber.of(UInt64(step), UInt64(sample))
            for place in sum.gradient.indices {
                let own = HashedNumber.of(hash, UInt64(place))
                sum.gradient[place] +=
                    Float(Int(own % 4096) - 2048)
                    * Float(sign: .plus, exponent: Int(own >> 32 % 40) - 30, significand: 1)
            }
            sum.loss += Double(hash % 1000) / 7
            sum.weight += 1
        }
        return sum
    }
}

/// Weights out of a variant's text in place of a recovery: as many as its hash says, so that their sizes tell them apart.
struct SimulatedWeights: SimulatedKind {
    var kind: WorkKind { WeightsItem.kind }

    private func item(_ key: WorkKey) -> WeightsItem {
        guard let item = try? WeightsItem(payload: key.payload) else {
            preconditionFailure("no weights: \(key)")
        }
        return item
    }

    func shard(of key: WorkKey) -> Int? { item(key).shard }

    func atoms(of key: WorkKey) -> [WorkAtom] { [WorkAtom(key, item(key).variant.description)] }

    func result(of key: WorkKey) -> [UInt8] {
        let variant = item(key).variant
        let hash = variant.description.utf8.reduce(0 as UInt64) { HashedNumber.of($0, UInt64($1)) }
        return RecoveredWeights(
            variant.mask,
            parameters: [
                RecoveredWeights.Parameter(
                    value: 0, elements: [Float](repeating: 1, count: 1 + Int(hash % 61)))
            ], biases: []
        ).bytes
    }
}
