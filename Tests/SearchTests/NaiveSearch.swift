import ComputationGraph
import Datasets
import Search

/// The search as its definition says it, without blocks handed out, bounds or bookkeeping: the reference.
struct NaiveSearch {
    struct Entry {
        let mask: Mask
        let loss: Double
        let objective: Double
        let correct: Int?
        let losses: [Float]
        let cost: Cost
    }

    let subject: RandomProblem
    let objective: Objective
    var maximumIncrease = Double.infinity
    /// The most labels that may be missed beyond those that the full model misses.
    var mayLose: Int?
    /// What a rise is divided by the saving of.
    var per: Budget.Quantity?

    init(
        _ subject: RandomProblem, objective: Objective, maximumIncrease: Double = .infinity,
        mayLose: Int? = nil, per: Budget.Quantity? = nil
    ) {
        self.mayLose = mayLose
        self.per = per
        self.subject = subject
        self.objective = objective
        self.maximumIncrease = maximumIncrease
    }

    /// The full model, its samples in their own order.
    var base: Entry { entry(.empty, blocks: blocks { shard in shard }, baseLoss: nil) }

    /// The `keep` best one-edge expansions of `parents`, best first.
    ///
    /// - Parameter acceptsNonFinite: whether a loss that is no finite number may be among them.
    /// - Parameter isWanted: what may be among them.
    func best(
        _ keep: Int, of parents: [Entry], baseLoss: Double, acceptsNonFinite: Bool = true,
        where isWanted: (Entry) -> Bool = { _ in true }
    ) -> [Entry] {
        var found: [Mask: Entry] = [:]
        let blocks = hardestFirst
        var charges: [Mask: Charge] = [:]
        let whole = subject.problem.costs.cost(of: .empty)
        for parent in parents {
            for unit in subject.problem.candidates.expansions(of: parent.mask, in: subject.graph) {
                let mask = parent.mask.removing(unit)
                if found[mask] != nil { continue }
                let candidate = entry(mask, blocks: blocks, baseLoss: baseLoss)
                if let per {
                    func amount(_ cost: Cost) -> Int { per == .flops ? cost.flops : cost.parameters }
                    if amount(candidate.cost) >= amount(parent.cost) { continue }
                    // One state after the other is compared with the one before, several with the full model.
                    let origin = keep == 1 ? parent.cost : whole
                    charges[mask] = Charge(
                        rise: candidate.objective - (keep == 1 ? parent.objective : 0),
                        saving: Double(amount(origin) - amount(candidate.cost)) / Double(amount(whole)))
                }
                found[mask] = candidate
            }
        }
        let before = base.correct ?? 0
        let ranked = found.values.filter { entry in
            isWanted(entry) && !(entry.loss - baseLoss > maximumIncrease)
                && (acceptsNonFinite || entry.loss.isFinite)
                && (mayLose.map { before - (entry.correct ?? 0) <= $0 } ?? true)
        }.sorted { left, right in
            if let one = charges[left.mask], let other = charges[right.mask] {
                if (one.rise > 0) != (other.rise > 0) { return one.rise <= 0 }
                if one.rise <= 0, one.saving != other.saving { return one.saving > other.saving }
                if one.rise > 0, one.rise / one.saving != other.rise / other.saving {
                    return one.rise / one.saving < other.rise / other.saving
                }
            }
            if left.objective != right.objective { return left.objective < right.objective }
            if left.cost.flops != right.cost.flops { return left.cost.flops < right.cost.flops }
            if left.cost.parameters != right.cost.parameters {
                return left.cost.parameters < right.cost.parameters
            }
            return left.mask.units.map(\.edge).lexicographicallyPrecedes(right.mask.units.map(\.edge))
        }
        return Array(ranked.prefix(keep))
    }

    private struct Charge {
        let rise: Double
        let saving: Double
    }

    /// The kept states, level by level.
    func levels(keep: Int, steps: Int) -> [[Entry]] {
        let base = base
        var levels: [[Entry]] = []
        while levels.count < steps {
            let next = best(
                keep, of: levels.last ?? [base], baseLoss: base.loss, acceptsNonFinite: false)
            if next.isEmpty { break }
            levels.append(next)
        }
        return levels
    }

    /// A mask, its samples in the order of the full model's hardest.
    func entry(_ mask: Mask) -> Entry { entry(mask, blocks: hardestFirst, baseLoss: base.loss) }

    /// Hardest first for the full model: by weighted loss, what is no number before all, ties by sample number.
    private var hardestFirst: [[Int]] {
        let keys = zip(base.losses, subject.division.weights).map { loss, weight -> Float in
            let key = weight > 0 ? loss * weight : 0
            return key.isFinite ? key : .infinity
        }
        return blocks { shard in
            shard.sorted { keys[$0] > keys[$1] || (keys[$0] == keys[$1] && $0 < $1) }
        }
    }

    /// Shards of contiguous samples whose sizes differ by at most 1, larger ones first; ordered, then cut up.
    private func blocks(_ order: ([Int]) -> [Int]) -> [[Int]] {
        let sharding = subject.division.sharding
        var blocks: [[Int]] = []
        var next = 0
        for shard in 0..<sharding.shards {
            let size =
                sharding.samples / sharding.shards + (shard < sharding.samples % sharding.shards ? 1 : 0)
            var left = order(Array(next..<next + size))
            while !left.isEmpty {
                blocks.append(Array(left.prefix(sharding.blockSize)))
                left.removeFirst(min(sharding.blockSize, left.count))
            }
            next += size
        }
        return blocks
    }

    private func entry(_ mask: Mask, blocks: [[Int]], baseLoss: Double?) -> Entry {
        let weights = subject.division.weights
        var losses = [Float](repeating: 0, count: weights.count)
        var total = 0.0
        var correct: Int?
        for block in blocks {
            let scores = subject.oracle.losses(mask, samples: block)
            var sum = 0.0
            for (sample, loss) in zip(block, scores.losses) {
                losses[sample] = loss
                guard weights[sample] > 0 else { continue }
                let counted: Float = loss.isNaN ? .infinity : loss < 0 ? 0 : loss
                sum += Double(counted) * Double(weights[sample])
            }
            total += sum
            if !scores.correct.isEmpty {
                correct = (correct ?? 0) + scores.correct.reduce(0) { $0 + Int($1) }
            }
        }
        var weight = 0.0
        for one in weights { weight += Double(one) }
        let loss = total / weight
        let change = baseLoss.map { loss - $0 } ?? 0
        let value = loss.isFinite ? (objective == .absolute ? abs(change) : change) : .infinity
        return Entry(
            mask: mask, loss: loss, objective: value, correct: correct, losses: losses,
            cost: subject.problem.costs.cost(of: mask))
    }
}
