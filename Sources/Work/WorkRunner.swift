/// Computes what a source hands out until its outcome is known. One runner computes in process, one on a cluster.
public protocol WorkRunner: AnyObject {
    /// Runs a source to its end. The outcome is to the bit the same for every runner.
    ///
    /// - Returns: the source, complete.
    func run<Source: WorkSource>(_ source: Source) async throws -> Source
    /// Makes a content known that items of later sources need.
    func provide(_ content: [UInt8]) async throws -> ContentID
    /// Lets go of a content that no later source needs.
    func withdraw(_ content: ContentID) async
}

extension WorkRunner {
    /// Keeps it.
    public func withdraw(_ content: ContentID) async {}
}

/// Contents that were computed in this process.
public struct MemoryContents: ContentAccess, Sendable {
    private var known: [ContentID: [UInt8]] = [:]

    /// None.
    public init() {}

    /// Adds a content under its name.
    public mutating func add(_ bytes: [UInt8], as content: ContentID) { known[content] = bytes }

    /// Lets go of a content.
    public mutating func remove(_ content: ContentID) { known[content] = nil }

    /// The content.
    ///
    /// - Throws: `WorkMismatch` for one that was never added.
    public func bytes(of content: ContentID) throws -> [UInt8] {
        guard let bytes = known[content] else { throw WorkMismatch("needs \(content), which is not there") }
        return bytes
    }
}

/// Runs sources in this process, one item after the other.
public final class LocalRunner: WorkRunner {
    private let compute: (WorkItem, any ContentAccess) throws -> [UInt8]
    private let name: ([UInt8]) -> ContentID
    private var contents = MemoryContents()
    private let progress: (any WorkSource) throws -> Void
    private let journal: (any WorkJournal)?

    /// How long a result may wait to be kept.
    private static let longestWait: Duration = .milliseconds(100)

    /// - Parameters:
    ///   - journal: keeps every result, and gives back those of an earlier run.
    ///   - progress: called after every item; what it throws ends the run.
    ///   - name: names contents by what they hold.
    ///   - compute: the result of an item.
    public init(
        journal: (any WorkJournal)? = nil, progress: @escaping (any WorkSource) throws -> Void = { _ in },
        name: @escaping ([UInt8]) -> ContentID,
        compute: @escaping (WorkItem, any ContentAccess) throws -> [UInt8]
    ) {
        self.journal = journal
        self.progress = progress
        self.name = name
        self.compute = compute
    }

    /// Keeps the content for items that name it.
    public func provide(_ content: [UInt8]) async throws -> ContentID {
        let id = name(content)
        contents.add(content, as: id)
        return id
    }

    /// Lets go of the content.
    public func withdraw(_ content: ContentID) async { contents.remove(content) }

    /// Runs the source to its end.
    ///
    /// - Throws: what computing, the journal or `progress` throws; `WorkMismatch` for a computation that answers what was not
    ///   asked.
    public func run<Source: WorkSource>(_ start: Source) async throws -> Source {
        var source = start
        if let journal { source.replay(try journal.records(ofStage: source.stage)) }
        // Writing to disk costs as much as a small item: results are kept together, at most a moment after they came.
        var pending: [WorkRecord] = []
        var lastKept = ContinuousClock.now
        func keep() throws {
            if !pending.isEmpty { try journal?.keep(pending) }
            pending = []
            lastKept = .now
        }
        do {
            while !source.isComplete, let item = source.next(for: WorkerView()) {
                let result = try compute(item, contents)
                try source.check(result, of: item)
                if journal != nil { pending.append(WorkRecord(key: item.key, result: result)) }
                if ContinuousClock.now - lastKept > LocalRunner.longestWait { try keep() }
                _ = source.fold(item, result)
                try progress(source)
            }
        } catch {
            try keep()
            throw error
        }
        try keep()
        return source
    }
}
