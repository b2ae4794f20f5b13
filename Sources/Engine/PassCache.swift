internal import ComputationGraph
internal import Torch

/// What passes computed, kept for tasks of the same state and block.
///
/// A race comes back to a block as often as another expansion needs it; with the state's pass still there only what
/// depends on the cut is computed. And the expansion that wins is the next level's state: its passes are there already.
/// What is kept changes the work alone: the same kernels on the same inputs give the same bits.
struct PassCache {
    /// A state on a block.
    struct Key: Hashable {
        let state: Mask
        let samples: [Int]
    }

    private struct Entry {
        let pass: Pass
        let lastUse: Int
    }

    /// The passes of one state.
    private struct Group {
        var entries: [[Int]: Entry] = [:]
        var lastUse = 0
    }

    /// The bytes that may be kept.
    let limit: Int
    private var groups: [Mask: Group] = [:]
    /// How many passes hold a tensor: an expansion shares with its state what its cut does not change.
    private var holders: [ObjectIdentifier: Int] = [:]
    /// The bytes of the tensors that are held.
    private(set) var bytes = 0
    private var clock = 0

    /// - Parameter limit: the bytes that may be kept.
    init(limit: Int) { self.limit = limit }

    /// Hands out what is known of a state on a block; `keep` it again afterwards.
    ///
    /// A search goes on from states to larger ones: what is kept of smaller ones is let go, so that its memory serves
    /// again.
    mutating func take(_ key: Key) -> Pass? {
        for state in groups.keys where state.count < key.state.count { dropAll(of: state) }
        return remove(key)
    }

    /// Keeps the pass of a state that tasks are about; what was used longest ago makes room.
    mutating func keep(_ pass: Pass, for key: Key) {
        insert(pass, for: key) { _ in true }
    }

    /// Keeps the pass of an expansion, which may be a state to come. What is kept of states that tasks are about does
    /// not make room for it.
    mutating func foresee(_ pass: Pass, for key: Key) {
        guard groups[key.state]?.entries[key.samples] == nil else { return }
        insert(pass, for: key) { $0.count >= key.state.count }
    }

    // MARK: Room

    /// A pass never pushes out another of its own state: of blocks that are visited round and round, each would be gone
    /// when its turn came.
    private mutating func insert(_ pass: Pass, for key: Key, insteadOf mayGo: (Mask) -> Bool) {
        clock += 1
        _ = remove(key)
        // What does not fit by itself pushes out nothing in vain.
        guard pass.tensors.reduce(0, { $0 + $1.byteCount }) <= limit else { return }
        hold(pass)
        while bytes > limit {
            let oldest = groups.filter { $0.key != key.state && !$0.value.entries.isEmpty && mayGo($0.key) }
                .min { $0.value.lastUse < $1.value.lastUse }
            guard let oldest,
                let block = oldest.value.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            else {
                release(pass)
                return
            }
            _ = remove(Key(state: oldest.key, samples: block.key))
        }
        groups[key.state, default: Group()].entries[key.samples] = Entry(pass: pass, lastUse: clock)
        groups[key.state]?.lastUse = clock
    }

    private mutating func remove(_ key: Key) -> Pass? {
        guard let entry = groups[key.state]?.entries.removeValue(forKey: key.samples) else { return nil }
        if groups[key.state]?.entries.isEmpty == true { groups[key.state] = nil }
        release(entry.pass)
        return entry.pass
    }

    private mutating func dropAll(of state: Mask) {
        guard let group = groups.removeValue(forKey: state) else { return }
        for entry in group.entries.values { release(entry.pass) }
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
