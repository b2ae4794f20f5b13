internal import Coordination
internal import Dispatch
internal import Foundation
internal import Logging
internal import Synchronization
public import Work

/// Gets contents from the cache, or from the coordinator into the cache. One thread does so, one content after the
/// other, while others talk and compute.
public final class ContentFetcher: Sendable {
    private enum Note: Sendable {
        case chunk(Chunk)
        case missing([UInt8], reason: String)
        case cancelled
    }

    private struct Job: Sendable {
        let content: ContentID
        let generation: Int
        let done: @Sendable (Result<String, any Error>) -> Void
    }

    private struct State {
        var jobs: [Job] = []
        var notes: [Note] = []
        var generation = 0
        var isRunning = false
        var isClosed = false
        /// Contents that were given out: they stay in the cache until they are released.
        var held: [ContentID: HeldContent] = [:]
    }

    /// A fetch that is not wanted any more.
    struct Cancelled: Error, CustomStringConvertible { let description = "it is not wanted any more" }

    /// Where contents are kept.
    package let cache: ContentCache
    private let logger: Logger
    private let request: @Sendable (ChunkRequest) -> Void
    private let troubled: @Sendable (String?) -> Void
    private let state = Mutex(State())
    private let noted = DispatchSemaphore(value: 0)
    /// The most chunks that are asked for and have not come: enough to fill a line.
    private static let window = 16
    /// How often a content is fetched whose bytes turn out to be others.
    private static let attempts = 3

    /// - Parameters:
    ///   - troubled: told what keeps contents from coming, and `nil` when it does not any more.
    ///   - request: asks the coordinator for a chunk; both are called on the fetching thread.
    init(
        cache: ContentCache, logger: Logger, troubled: @escaping @Sendable (String?) -> Void = { _ in },
        request: @escaping @Sendable (ChunkRequest) -> Void
    ) {
        self.troubled = troubled
        self.cache = cache
        self.logger = logger
        self.request = request
    }

    // MARK: For those who want contents

    /// Calls `done` on the fetching thread with a content's file.
    func fetch(_ content: ContentID, done: @escaping @Sendable (Result<String, any Error>) -> Void) {
        let mustStart = state.withLock { state in
            state.jobs.append(Job(content: content, generation: state.generation, done: done))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        guard mustStart else { return }
        let thread = Thread { [self] in work() }
        thread.name = "espalier-fetch"
        thread.start()
    }

    /// Says that a content's file is not needed any more.
    func release(_ content: ContentID) { state.withLock { $0.held[content] = nil } }

    /// Says that no file is needed any more that was given out until now.
    func releaseAll() { state.withLock { $0.held = [:] } }

    /// Waits for a content's file.
    ///
    /// - Throws: `ClusterError`; `Cancelled`.
    package func path(of content: ContentID) throws -> String {
        let ended = DispatchSemaphore(value: 0)
        let answer = Mutex<Result<String, any Error>?>(nil)
        fetch(content) { result in
            answer.withLock { $0 = result }
            ended.signal()
        }
        ended.wait()
        return try (answer.withLock { $0 } ?? .failure(Cancelled())).get()
    }

    // MARK: For the talking thread

    func deliver(_ chunk: Chunk) { note(.chunk(chunk)) }

    func missing(_ sha256: [UInt8], reason: String) { note(.missing(sha256, reason: reason)) }

    /// Ends everything that was asked for until now.
    func cancelAll() {
        state.withLock { $0.generation += 1 }
        note(.cancelled)
    }

    /// Ends everything, and whatever will be asked for.
    func close() {
        state.withLock { $0.isClosed = true }
        note(.cancelled)
    }

    private func note(_ note: Note) {
        state.withLock { if $0.isRunning { $0.notes.append(note) } }
        noted.signal()
    }

    // MARK: The fetching thread

    /// Works until nothing is asked for.
    private func work() {
        while true {
            let job = state.withLock { state -> Job? in
                state.isRunning = !state.jobs.isEmpty
                return state.jobs.isEmpty ? nil : state.jobs.removeFirst()
            }
            guard let job else { return }
            job.done(
                Result {
                    let held = try obtain(job)
                    state.withLock { $0.held[job.content] = held }
                    cache.trim()
                    return held.path
                })
        }
    }

    private func check(_ job: Job) throws {
        let isWanted = state.withLock { !$0.isClosed && $0.generation == job.generation }
        guard isWanted else { throw Cancelled() }
    }

    /// Waits where the cache's disk is full, and says so.
    private func obtain(_ job: Job) throws -> HeldContent {
        var failures = 0
        var isTold = false
        defer { if isTold { troubled(nil) } }
        while failures < Self.attempts {
            do {
                if let held = try obtainOnce(job) { return held }
                failures += 1
                logger.warning("\(job.content) came with other bytes; fetching it again")
            } catch let error as ClusterError {
                guard case .cacheFull = error else { throw error }
                if !isTold { troubled("\(error)") }
                isTold = true
                for _ in 0..<10 {
                    usleep(100_000)
                    try check(job)
                }
            }
        }
        throw ClusterError.otherContent(content: job.content.hexadecimal, attempts: Self.attempts)
    }

    /// - Returns: `nil` when what came was something else.
    private func obtainOnce(_ job: Job) throws -> HeldContent? {
        let content = job.content
        while true {
            try check(job)
            if let held = try cache.verified(content) { return held }
            if let partial = try cache.beginWriting(content) {
                // It may have been finished between the look and the lock.
                if let held = try cache.verified(content) { return held }
                logger.info("fetching \(content) from byte \(partial.offset) on")
                try download(partial, job)
                return try partial.finish()
            }
            // Another worker on this machine is at it.
            usleep(100_000)
        }
    }

    private func download(_ partial: PartialContent, _ job: Job) throws {
        let content = partial.content
        var next = partial.offset
        var early: [Int: Data] = [:]
        var outstanding: [ChunkRequest] = []
        while partial.offset < content.size {
            while outstanding.count < Self.window, next < content.size {
                let wanted = ChunkRequest(
                    sha256: content.sha256, offset: next,
                    count: min(ChunkRequest.largestCount, content.size - next))
                outstanding.append(wanted)
                request(wanted)
                next += wanted.count
            }
            let isQuiet = noted.wait(timeout: .now() + 30) == .timedOut
            try check(job)
            // A message may have been lost on a connection that looks alive.
            if isQuiet { for wanted in outstanding { request(wanted) } }
            for note in state.withLock({ state in
                defer { state.notes = [] }
                return state.notes
            }) {
                switch note {
                case .cancelled: break
                case .missing(let sha256, let reason) where sha256 == content.sha256:
                    throw ClusterError.contentMissing(content: content.hexadecimal, reason: reason)
                case .missing: break
                case .chunk(let chunk):
                    guard
                        let index = outstanding.firstIndex(where: {
                            $0.sha256 == chunk.sha256 && $0.offset == chunk.offset
                                && $0.count == chunk.bytes.count
                        })
                    else { continue }
                    outstanding.remove(at: index)
                    early[chunk.offset] = chunk.bytes
                }
            }
            while let bytes = early.removeValue(forKey: partial.offset) { try partial.append(bytes) }
        }
    }
}

extension ContentFetcher: ContentAccess {
    /// What a content holds. Waits until it is there.
    ///
    /// - Throws: `ClusterError` when it cannot be had; an error of the system when its file cannot be read.
    public func bytes(of content: ContentID) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: URL(fileURLWithPath: path(of: content))))
    }

    /// Lets go of the content's file, and removes it unless another worker of this machine holds it.
    public func discard(_ content: ContentID) {
        release(content)
        cache.remove(content)
    }
}
