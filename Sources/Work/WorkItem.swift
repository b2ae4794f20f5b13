/// A kind of work, e.g. `losses`: it names the computation that a worker performs, and how payload and result are read.
public struct WorkKind: Hashable, Sendable, CustomStringConvertible {
    /// The name.
    public let description: String

    /// The kind of this name.
    public init(_ name: String) { description = name }
}

/// What is to be computed, and all that decides the result: two items with the same key have the same result, to the bit.
public struct WorkKey: Hashable, Sendable {
    /// Names the computation.
    public let kind: WorkKind
    /// The place of the item's source among the sources of a run, which come one after the other.
    public let stage: Int
    /// What to compute, in the canonical bytes of the kind. Nobody between source and computation reads them.
    public let payload: [UInt8]

    /// An item's key.
    public init(kind: WorkKind, stage: Int, payload: [UInt8]) {
        self.kind = kind
        self.stage = stage
        self.payload = payload
    }
}

/// What an item likely costs: times of one scale are compared with each other, and with nothing else.
public struct WorkCost: Hashable, Sendable {
    /// What is counted, e.g. `losses/64`.
    public let scale: String
    /// How much of it the item takes; greater than 0.
    public let amount: Double

    /// So much of a scale.
    public init(scale: String, amount: Double) {
        self.scale = scale
        self.amount = amount
    }
}

/// A piece of work as its source hands it out.
public struct WorkItem: Hashable, Sendable {
    /// What is computed.
    public let key: WorkKey
    /// What makes the computation faster, and changes nothing of its result.
    public let hints: [UInt8]
    /// The shard of the data that the item needs; `nil` for none.
    public let shard: Int?
    /// What it needs besides model and shard.
    public let contents: [ContentID]
    /// Items with the same number share intermediate results: they are better computed by the same worker.
    public let locality: UInt64
    /// What it likely costs.
    public let cost: WorkCost
    /// What the item is about, in numbers of its source. The same may come back in another item, in other company; two items
    /// that have one in common are never out at once.
    public let pieces: [Int]

    /// An item of work.
    public init(
        key: WorkKey, hints: [UInt8] = [], shard: Int?, contents: [ContentID] = [], locality: UInt64 = 0,
        cost: WorkCost, pieces: [Int]
    ) {
        self.key = key
        self.hints = hints
        self.shard = shard
        self.contents = contents
        self.locality = locality
        self.cost = cost
        self.pieces = pieces
    }
}

/// A result, with the key of the item that it answers.
public struct WorkRecord: Hashable, Sendable {
    /// The item's key.
    public let key: WorkKey
    /// The result, in the bytes of the kind.
    public let result: [UInt8]

    /// A result of the item with this key.
    public init(key: WorkKey, result: [UInt8]) {
        self.key = key
        self.result = result
    }
}
