public import Work

/// The gradient of one step: an item is the micro-batches below one node of the tree in which they are added.
///
/// Workers get whole subtrees, larger ones where there are few workers, and return one sum each. Since the tree follows from
/// the number of micro-batches alone, the sum is the same to the bit whoever computed which part of it.
public struct GradientSource: WorkSource {
    private enum Leaf: Sendable { case free, out, known }

    private let subject: TrainingSubject
    private let weights: ContentID
    private let step: Int
    private let microBatches: [SampleOrder.MicroBatch]
    private var tree: GradientTree
    private var leaves: [Leaf]
    /// The nodes whose micro-batches are of one shard, larger ones first.
    private let nodes: [GradientTree.Node]

    /// The step, so that results of others are told apart.
    public var stage: Int { step }
    /// `gradient`.
    public var kind: WorkKind { GradientItem.kind }

    /// - Parameters:
    ///   - weights: those that the step starts from.
    ///   - step: counted from 0.
    ///   - microBatches: at least one.
    public init(
        _ subject: TrainingSubject, weights: ContentID, step: Int, microBatches: [SampleOrder.MicroBatch]
    ) {
        (self.subject, self.weights, self.step) = (subject, weights, step)
        self.microBatches = microBatches
        tree = GradientTree(count: microBatches.count)
        leaves = [Leaf](repeating: .free, count: microBatches.count)
        nodes = tree.nodes.filter { node in Set(microBatches[node].map(\.shard)).count == 1 }
    }

    /// The gradient's sum over all samples of the step.
    ///
    /// - Precondition: the source is complete.
    public var total: GradientSum {
        guard let total = tree.total else { preconditionFailure("some gradients are not known") }
        return total
    }

    /// Whether the whole sum is known.
    public var isComplete: Bool { tree.total != nil }
    /// One micro-batch.
    public var smallestCost: WorkCost { WorkCost(scale: "gradient", amount: 1) }

    private func item(_ node: GradientTree.Node) -> WorkItem {
        let item = GradientItem(
            subject, weights: weights, step: step, place: node.lowerBound,
            microBatches: Array(microBatches[node]))
        return WorkItem(
            key: WorkKey(kind: kind, stage: stage, payload: item.payload), shard: item.shard,
            contents: item.contents, cost: WorkCost(scale: "gradient", amount: Double(node.count)),
            pieces: Array(node))
    }

    private func node(of item: WorkItem) -> GradientTree.Node {
        item.pieces[0]..<item.pieces[0] + item.pieces.count
    }

    /// The largest subtree that leaves something for the other workers.
    public mutating func next(for worker: WorkerView) -> WorkItem? {
        let share = max(1, (microBatches.count + worker.sharing - 1) / worker.sharing)
        let found = nodes.first { node in
            node.count <= share && leaves[node].allSatisfy { $0 == .free }
                && worker.holds(microBatches[node.lowerBound].shard)
        }
        guard let found else { return nil }
        for leaf in found { leaves[leaf] = .out }
        return item(found)
    }

    /// Checks that there is a number for every weight.
    public func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch) {
        _ = try GradientSum(result, elements: subject.elements)
    }

    /// Takes a subtree's sum.
    public mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool {
        let node = node(of: item)
        guard needs(item),
            let sum = try? GradientSum(result, elements: subject.elements)
        else { return false }
        for leaf in node { leaves[leaf] = .known }
        tree.learn(node, sum)
        return false
    }

    /// Takes a result that was computed for an earlier coordinator, where it is of the same weights and samples.
    public mutating func adopt(_ record: WorkRecord) -> Adoption {
        guard record.key.kind == kind, record.key.stage == stage else {
            return record.key.stage >= stage ? .later : .none
        }
        let given: GradientItem
        do throws(WorkMismatch) { given = try GradientItem(payload: record.key.payload) } catch {
            return .wrong(error)
        }
        guard
            let node = nodes.first(where: {
                $0.lowerBound == given.place && $0.count == given.microBatches.count
            })
        else { return .none }
        let item = item(node)
        guard needs(item), item.key == record.key else { return .none }
        do throws(WorkMismatch) { try check(record.result, of: item) } catch { return .wrong(error) }
        return .part(item, result: record.result)
    }

    /// Whether one of the micro-batches is unknown.
    public func needs(_ item: WorkItem) -> Bool { leaves[node(of: item)].contains { $0 != .known } }

    /// Makes the micro-batches available again that are not known.
    public mutating func giveBack(_ item: WorkItem) {
        for leaf in node(of: item) where leaves[leaf] == .out { leaves[leaf] = .free }
    }

    /// The step, and which of its micro-batches.
    public func describe(_ item: WorkItem, pieces: [Int]) -> String {
        let first = pieces.first ?? item.pieces[0]
        let last = pieces.last ?? first
        let names = first == last ? "micro-batch \(first)" : "micro-batches \(first) to \(last)"
        return "the gradient of \(names) of step \(step),"
    }
}
