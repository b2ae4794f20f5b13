/// A worker as a source sees it.
public struct WorkerView {
    /// The number of workers that the work has to go round for.
    public let sharing: Int
    /// Whether the worker may be given items of a shard.
    public let holds: (Int) -> Bool
    /// Whether items of a locality are better given to this worker than to others.
    public let prefers: (UInt64) -> Bool

    /// A worker that may be given everything, unless told otherwise.
    public init(
        sharing: Int = 1, holds: @escaping (Int) -> Bool = { _ in true },
        prefers: @escaping (UInt64) -> Bool = { _ in true }
    ) {
        self.sharing = sharing
        self.holds = holds
        self.prefers = prefers
    }
}

/// What a source makes of a result that it did not ask for: of an earlier run, or of a coordinator that is gone.
public enum Adoption: Hashable, Sendable {
    /// It is of a source that may yet come.
    case later
    /// It is of no use.
    case none
    /// It is no result of what it is said to answer.
    case wrong(WorkMismatch)
    /// It answers this item, with this result: what was given, or a part of it.
    case part(WorkItem, result: [UInt8])
}

/// Why a source does not take a result.
public struct WorkMismatch: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, to follow "the result".
    public let description: String

    /// A result that does not fit, for this reason.
    public init(_ description: String) { self.description = description }
}

/// Work that is computed item by item, by whoever there is, and comes to the same whatever the order: items out, results in.
///
/// Whoever drives a source (``LocalRunner``, the coordinator of a cluster, a simulator) knows nothing of what is computed. A
/// new kind of work is one source and one ``Computation``.
///
/// The outcome must not depend on who computes, in which order results arrive, how often, or what was replayed: sums are taken
/// in canonical order once all parts are known, and a result that is known already changes nothing.
public protocol WorkSource: Sendable {
    /// The kind of the items.
    var kind: WorkKind { get }
    /// The source's place among those of its run.
    var stage: Int { get }
    /// Whether the outcome is known.
    var isComplete: Bool { get }
    /// How many items may be chosen before earlier results are known without some of them likely being in vain; `nil` for any
    /// number.
    var independentItems: Int? { get }

    /// What the smallest item costs.
    var smallestCost: WorkCost { get }

    /// What the worker is to compute next; `nil` when everything that is likely needed is out.
    ///
    /// While nothing is out and the work is not complete there is always an item for a worker that holds everything.
    mutating func next(for worker: WorkerView) -> WorkItem?

    /// Whether a result is one that `item` may have.
    ///
    /// - Throws: `WorkMismatch` that says what is wrong with it.
    func check(_ result: [UInt8], of item: WorkItem) throws(WorkMismatch)

    /// Takes the result of an item that this source has handed out or adopted; it passed `check`.
    ///
    /// - Returns: whether items that are out may have become needless.
    mutating func fold(_ item: WorkItem, _ result: [UInt8]) -> Bool

    /// What of a result that was not asked for belongs here.
    mutating func adopt(_ record: WorkRecord) -> Adoption

    /// Whether the result of an item that is out can still matter.
    func needs(_ item: WorkItem) -> Bool

    /// Makes the work of an item available again, e.g. when its worker died.
    mutating func giveBack(_ item: WorkItem)

    /// The work of an item in words, e.g. "block 3 of shard 0, state {}, removing 5:0,".
    ///
    /// - Parameter pieces: those of the item's pieces that are meant.
    func describe(_ item: WorkItem, pieces: [Int]) -> String
}

extension WorkSource {
    /// Any number.
    public var independentItems: Int? { nil }

    /// Takes up results of an earlier run. Those that do not belong here are passed over.
    public mutating func replay(_ records: some Sequence<WorkRecord>) {
        for record in records {
            guard case .part(let item, let result) = adopt(record), (try? check(result, of: item)) != nil
            else {
                continue
            }
            _ = fold(item, result)
        }
    }
}
