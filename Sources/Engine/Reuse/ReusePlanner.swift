internal import ComputationGraph
internal import Torch

/// Plans all that an evaluator keeps between tasks, within one memory budget.
///
/// A race comes back to a block as often as another expansion needs it; with the state's activations still there only what
/// depends on the cut is computed. The expansion that wins is the next stage's state: its activations are there already.
/// Two masks that differ by a late unit alone have all in common that comes before it. And losses that compare with the
/// unpruned model read its outputs in every task.
/// What is kept changes the work alone: the same kernels on the same inputs give the same bits.
struct ReusePlanner {
    private struct Entry {
        let activations: Activations
        var lastUse: Int
    }

    /// The activations under one mask, by block.
    private struct Group {
        var entries: [Int: Entry] = [:]
        var lastUse = 0
        /// The stage whose tasks start from them.
        var stage: Int
    }

    private struct PlannerKey: Hashable {
        let state: Mask
        let model: ObjectIdentifier
    }

    /// The bytes that may be kept.
    let budget: Int
    /// The values that the loss reads.
    private let outputs: [Int]
    private var stage = 0
    private var frontier = ReuseFrontier()
    private var planners: [PlannerKey: (planner: ExpansionPlanner, stage: Int)] = [:]
    private var groups: [Mask: Group] = [:]
    private var blocks: [[Int]: Int] = [:]
    /// The unpruned model's outputs, by block, with the order in which they came.
    private var references: [Int: [Tensor]] = [:]
    private var referenceOrder: [Int] = []
    private var referenceBytes = 0
    /// How many activations hold a tensor: an expansion shares with its state what its cut does not change.
    private var holders: [ObjectIdentifier: Int] = [:]
    /// The bytes of the activations that are held.
    private var activationBytes = 0
    private var clock = 0

    /// - Parameters:
    ///   - budget: the bytes that may be kept.
    ///   - outputs: the values that the loss reads.
    init(budget: Int, outputs: [Int]) {
        self.budget = budget
        self.outputs = outputs
    }

    // MARK: Stages

    /// Takes note of a task. What serves neither its stage nor the next one is let go: a search goes on from stage to stage,
    /// and the next search starts from the first one again.
    ///
    /// - Parameter hints: units whose removal may lead to a state of the next stage.
    mutating func begin(stage: Int, state: Mask, hints: [Unit]) {
        if stage != self.stage {
            self.stage = stage
            frontier = ReuseFrontier()
            for mask in groups.keys {
                guard let other = groups[mask]?.stage, other < stage || other > stage + 1 else { continue }
                for entry in groups.removeValue(forKey: mask)?.entries.values ?? [:].values {
                    release(entry.activations)
                }
            }
            planners = planners.filter { $0.value.stage >= stage }
        }
        frontier.note(state, hints: hints)
    }

    /// What is known of a state's expansions, whatever the block.
    mutating func planner(of state: Mask, _ model: Specialisation) -> ExpansionPlanner {
        let key = PlannerKey(state: state, model: ObjectIdentifier(model))
        if let known = planners[key], known.planner.model === model { return known.planner }
        // What is dropped is a little work.
        if planners.count >= 256 { planners.removeAll() }
        let planner = ExpansionPlanner(state: state, model, outputs: outputs)
        planners[key] = (planner, stage)
        return planner
    }

    /// The values of an expansion that are worth keeping.
    func kept(of unit: Unit, isHinted: Bool, by planner: ExpansionPlanner) -> Set<Int> {
        planner.kept(of: unit, isHinted: isHinted, frontier)
    }

    // MARK: Activations

    /// The number by which activations of these samples are known.
    mutating func block(of samples: [Int]) -> Int {
        if let known = blocks[samples] { return known }
        let number = blocks.count
        blocks[samples] = number
        return number
    }

    /// The model's inputs for a block of which activations are kept.
    func inputs(on block: Int) -> [Tensor]? {
        groups.values.lazy.compactMap { $0.entries[block]?.activations.inputs }.first
    }

    /// The kept activations of a block from which those under `mask` take least, if that is less than `limit`.
    func nearest(
        to mask: Mask, on block: Int, _ model: Specialisation, within limit: Int
    ) -> (mask: Mask, activations: Activations)? {
        var nearest: (mask: Mask, activations: Activations)?
        var least = limit
        for (other, group) in groups {
            guard let entry = group.entries[block], entry.activations.model === model else { continue }
            guard let distance = model.distance(other, mask, within: least) else { continue }
            // Equal ones in one order, whatever that of the dictionary.
            guard distance < least || nearest.map({ other < $0.mask }) == true else { continue }
            (nearest, least) = ((other, entry.activations), distance)
        }
        return nearest
    }

    /// Hands out activations; `keep` them again afterwards.
    mutating func take(_ mask: Mask, on block: Int) -> Activations? { remove(mask, block) }

    /// Takes note that others start from activations that are kept.
    mutating func use(_ mask: Mask, on block: Int) {
        clock += 1
        groups[mask]?.entries[block]?.lastUse = clock
        groups[mask]?.lastUse = clock
    }

    /// Keeps activations as far as there is room; what is kept already stays as it is.
    ///
    /// - Parameter isExpansion: whether they are of an expansion, which tasks of the next stage may start from.
    mutating func keep(_ activations: Activations, of mask: Mask, on block: Int, isExpansion: Bool) {
        guard groups[mask]?.entries[block] == nil else { return }
        // What does not fit by itself pushes out nothing in vain.
        guard activations.tensors.reduce(referenceBytes, { $0 + $1.byteCount }) <= budget else { return }
        hold(activations)
        while activationBytes + referenceBytes > budget {
            guard let (other, place) = leastRecent(besides: mask) else {
                release(activations)
                return
            }
            _ = remove(other, place)
        }
        let stage = isExpansion ? stage + 1 : stage
        groups[mask, default: Group(stage: stage)].entries[block] = Entry(
            activations: activations, lastUse: clock)
        if let earlier = groups[mask]?.stage, earlier < stage { groups[mask]?.stage = stage }
        use(mask, on: block)
    }

    /// Lets go of all activations: they were computed with other means.
    mutating func forgetActivations() {
        groups.removeAll()
        holders.removeAll()
        activationBytes = 0
    }

    // MARK: References

    /// The unpruned model's outputs on a block, computed unless they are kept.
    ///
    /// They save a whole pass in every task, so activations make room for them, up to half of the budget; beyond that the
    /// oldest ones go.
    mutating func references(on block: Int, compute: () throws -> [Tensor]) rethrows -> [Tensor] {
        if let known = references[block] { return known }
        let computed = try compute()
        references[block] = computed
        referenceOrder.append(block)
        referenceBytes += computed.reduce(0) { $0 + $1.byteCount }
        while referenceBytes > budget / 2, referenceOrder.count > 1 {
            let oldest = references.removeValue(forKey: referenceOrder.removeFirst()) ?? []
            referenceBytes -= oldest.reduce(0) { $0 + $1.byteCount }
        }
        while activationBytes + referenceBytes > budget, let (other, place) = leastRecent(besides: nil) {
            _ = remove(other, place)
        }
        return computed
    }

    // MARK: Room

    /// What goes first to make room: of the least recently used mask, the least recently used block. Masks go one after the
    /// other, and activations never push out others of their own mask: of blocks that are visited round and round, each would
    /// be gone when its turn came.
    private func leastRecent(besides mask: Mask?) -> (mask: Mask, block: Int)? {
        let oldest = groups.filter { $0.key != mask }.min { $0.value.lastUse < $1.value.lastUse }
        guard let oldest, let entry = oldest.value.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return nil }
        return (oldest.key, entry.key)
    }

    private mutating func remove(_ mask: Mask, _ block: Int) -> Activations? {
        guard let entry = groups[mask]?.entries.removeValue(forKey: block) else { return nil }
        if groups[mask]?.entries.isEmpty == true { groups[mask] = nil }
        release(entry.activations)
        return entry.activations
    }

    private mutating func hold(_ activations: Activations) {
        for tensor in activations.tensors {
            let count = holders[ObjectIdentifier(tensor), default: 0]
            if count == 0 { activationBytes += tensor.byteCount }
            holders[ObjectIdentifier(tensor)] = count + 1
        }
    }

    private mutating func release(_ activations: Activations) {
        for tensor in activations.tensors {
            let count = holders[ObjectIdentifier(tensor), default: 1] - 1
            if count == 0 { activationBytes -= tensor.byteCount }
            holders[ObjectIdentifier(tensor)] = count == 0 ? nil : count
        }
    }
}
