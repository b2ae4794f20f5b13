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

    init(
        _ subject: RandomProblem, objective: Objective, maximumIncrease: Double = .infinity,
        mayLose: Int? = nil
    ) {
        self.mayLose = mayLose
        self.subject = subject
        self.objective = objective
        self.maximumIncrease = maximumIncrease
    }

    /// The full model, its samples in their own order.
    var base: Entry { entry(.empty, blocks: blocks { shard in shard }, baseLoss: nil) }

    /// The `keep` best one-edge expansions of `parents`, best first.
    func best(_ keep: Int, of parents: [Entry], baseLoss: Double) -> [Entry] {
        var found: [Mask: Entry] = [:]
        // Hardest first for the full model: by weighted loss, what is no number before all, ties by sample number.
        let keys = zip(base.losses, subject.division.weights).map { loss, weight -> Float in
            let key = weight > 0 ? loss * weight : 0
            return key.isFinite ? key : .infinity
        }
        let blocks = blocks { shard in
            shard.sorted { keys[$0] > keys[$1] || (keys[$0] == keys[$1] && $0 < $1) }
        }
        for parent in parents {
            for edge in subject.problem.candidates.expansions(of: parent.mask, in: subject.graph) {
                let mask = parent.mask.removing(edge)
                if found[mask] == nil { found[mask] = entry(mask, blocks: blocks, baseLoss: baseLoss) }
            }
        }
        let before = base.correct ?? 0
        let ranked = found.values.filter { entry in
            !(entry.loss - baseLoss > maximumIncrease)
                && (mayLose.map { before - (entry.correct ?? 0) <= $0 } ?? true)
        }.sorted { left, right in
            if left.objective != right.objective { return left.objective < right.objective }
            if left.cost.flops != right.cost.flops { return left.cost.flops < right.cost.flops }
            if left.cost.parameters != right.cost.parameters {
                return left.cost.parameters < right.cost.parameters
            }
            return left.mask.edges.lexicographicallyPrecedes(right.mask.edges)
        }
        return Array(ranked.prefix(keep))
    }

    /// The kept states, level by level.
    func levels(keep: Int, steps: Int) -> [[Entry]] {
        let base = base
        var levels: [[Entry]] = []
        while levels.count < steps {
            let next = best(keep, of: levels.last ?? [base], baseLoss: base.loss)
            if next.isEmpty { break }
            levels.append(next)
        }
        return levels
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
