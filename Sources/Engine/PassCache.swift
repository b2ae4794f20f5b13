internal import ComputationGraph

/// What base passes computed, kept for the next task of the same state and block.
///
/// A race comes back to a block as often as another expansion needs it; with the base pass still there only what
/// depends on the cut is computed. What is kept changes the work alone: the same kernels on the same inputs give the
/// same bits.
struct PassCache {
    /// A state on a block.
    struct Key: Hashable {
        let state: Mask
        let samples: [Int]
    }

    private struct Entry {
        let pass: Pass
        let bytes: Int
        var lastUse: Int
    }

    /// The bytes that may be kept.
    let limit: Int
    private var entries: [Key: Entry] = [:]
    private var bytes = 0
    private var clock = 0
    /// The number of edges that the state last kept removes.
    private var removals = 0

    /// - Parameter limit: the bytes that may be kept.
    init(limit: Int) { self.limit = limit }

    /// Hands out what is known of a state on a block; `keep` it again afterwards.
    mutating func take(_ key: Key) -> Pass? {
        guard let entry = entries.removeValue(forKey: key) else { return nil }
        bytes -= entry.bytes
        return entry.pass
    }

    /// Keeps a pass; what was used longest ago makes room.
    ///
    /// A search goes on from states to larger ones: what is kept of smaller ones is let go, so that its memory serves
    /// again.
    mutating func keep(_ pass: Pass, for key: Key) {
        if key.state.edges.count != removals {
            for (old, entry) in entries where old.state.edges.count < key.state.edges.count {
                bytes -= entry.bytes
                entries[old] = nil
            }
            removals = key.state.edges.count
        }
        let size = pass.byteCount
        guard size <= limit else { return }
        while bytes + size > limit, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            bytes -= oldest.value.bytes
            entries[oldest.key] = nil
        }
        clock += 1
        bytes += size
        entries[key] = Entry(pass: pass, bytes: size, lastUse: clock)
    }
}
