internal import ComputationGraph
internal import Torch

/// What passes computed, kept for other passes over the same samples.
///
/// A race comes back to a block as often as another expansion needs it; with the state's pass still there only what
/// depends on the cut is computed. The expansion that wins is the next level's state: its passes are there already. And
/// two sets that differ by a late edge alone have all in common that comes before it.
/// What is kept changes the work alone: the same kernels on the same inputs give the same bits.
struct PassCache {
    private struct Entry {
        let pass: Pass
        var lastUse: Int
    }

    /// The passes under one mask, by block.
    private struct Group {
        var entries: [Int: Entry] = [:]
        var lastUse = 0
    }

    /// The bytes that may be kept.
    let limit: Int
    private var groups: [Mask: Group] = [:]
    private var blocks: [[Int]: Int] = [:]
    /// How many passes hold a tensor: an expansion shares with its base what its cut does not change.
    private var holders: [ObjectIdentifier: Int] = [:]
    /// The bytes of the tensors that are held.
    private(set) var bytes = 0
    private var clock = 0

    /// - Parameter limit: the bytes that may be kept.
    init(limit: Int) { self.limit = limit }

    /// The number by which passes over these samples are known.
    mutating func block(of samples: [Int]) -> Int {
        if let known = blocks[samples] { return known }
        let number = blocks.count
        blocks[samples] = number
        return number
    }

    /// The model's inputs for a block of which a pass is kept.
    func inputs(on block: Int) -> [Tensor]? {
        groups.values.lazy.compactMap { $0.entries[block]?.pass.inputs }.first
    }

    /// The kept pass over a block from which one under `mask` takes least, if that is less than `limit`.
    func nearest(to mask: Mask, on block: Int, _ plan: Plan, within limit: Int) -> (mask: Mask, pass: Pass)? {
        var nearest: (mask: Mask, pass: Pass)?
        var least = limit
        for (other, group) in groups {
            guard let entry = group.entries[block], entry.pass.plan === plan else { continue }
            guard let distance = plan.distance(other, mask, within: least) else { continue }
            // Equal ones in one order, whatever that of the dictionary.
            guard distance < least || nearest.map({ other < $0.mask }) == true else { continue }
            (nearest, least) = ((other, entry.pass), distance)
        }
        return nearest
    }

    /// Hands out a pass; `keep` it again afterwards.
    mutating func take(_ mask: Mask, on block: Int) -> Pass? { remove(mask, block) }

    /// Lets go what serves no expansion of states with `count` removed edges: a search goes on from states to larger ones, and
    /// the next search starts from the full model again.
    mutating func forgetAllBut(states count: Int) {
        for mask in groups.keys where mask.count < count || mask.count > count + 1 {
            for entry in groups.removeValue(forKey: mask)?.entries.values ?? [:].values {
                release(entry.pass)
            }
        }
    }

    /// Takes note that another pass starts from one that is kept.
    mutating func use(_ mask: Mask, on block: Int) {
        clock += 1
        groups[mask]?.entries[block]?.lastUse = clock
        groups[mask]?.lastUse = clock
    }

    /// Keeps a pass as far as there is room; one that is kept already stays as it is.
    mutating func keep(_ pass: Pass, of mask: Mask, on block: Int) {
        guard groups[mask]?.entries[block] == nil else { return }
        // What does not fit by itself pushes out nothing in vain.
        guard pass.tensors.reduce(0, { $0 + $1.byteCount }) <= limit else { return }
        hold(pass)
        while bytes > limit {
            guard let (other, place) = leastRecent(besides: mask) else {
                release(pass)
                return
            }
            _ = remove(other, place)
        }
        groups[mask, default: Group()].entries[block] = Entry(pass: pass, lastUse: clock)
        use(mask, on: block)
    }

    // MARK: Room

    /// What goes first to make room for a pass: of the mask that was used longest ago, the block that was. Masks go one
    /// after the other, and a pass never pushes out another of its own: of blocks that are visited round and round, each
    /// would be gone when its turn came.
    private func leastRecent(besides mask: Mask) -> (mask: Mask, block: Int)? {
        let oldest = groups.filter { $0.key != mask }.min { $0.value.lastUse < $1.value.lastUse }
        guard let oldest, let entry = oldest.value.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return nil }
        return (oldest.key, entry.key)
    }

    private mutating func remove(_ mask: Mask, _ block: Int) -> Pass? {
        guard let entry = groups[mask]?.entries.removeValue(forKey: block) else { return nil }
        if groups[mask]?.entries.isEmpty == true { groups[mask] = nil }
        release(entry.pass)
        return entry.pass
    }

    private mutating func hold(_ pass: Pass) {
        for tensor in pass.tensors {
            let count = holders[ObjectIdentifier(tensor), default: 0]
            if count == 0 { bytes += tensor.byteCount }
            holders[ObjectIdentifier(tensor)] = count + 1
        }
    }

    private mutating func release(_ pass: Pass) {
        for tensor in pass.tensors {
            let count = holders[ObjectIdentifier(tensor), default: 1] - 1
            if count == 0 { bytes -= tensor.byteCount }
            holders[ObjectIdentifier(tensor)] = count == 0 ? nil : count
        }
    }
}
