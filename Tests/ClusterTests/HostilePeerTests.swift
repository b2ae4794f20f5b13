import Coordination
import Datasets
import Foundation
import Search
import Testing
import Work
import ZeroMQ

@testable import Cluster

/// Peers that do not do as they should: the run goes on without them.
@Suite(.timeLimit(.minutes(2))) struct HostilePeerTests {
    /// Runs `peer` on a thread with a socket of its own, beside a coordinator and one good worker.
    private func search(
        _ problem: SmallProblem, limits: WireLimits = WireLimits(),
        beside peer: @escaping @Sendable (Socket) throws -> Void
    ) async throws -> [[String]] {
        let context = try Context()
        let runner = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), limits: limits, context: context, logger: quiet)
        let endpoint = runner.endpoint
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            Thread {
                do {
                    let socket = try Socket(.dealer, in: context)
                    try socket.set(.receiveTimeout, .seconds(5))
                    try socket.set(.linger, .milliseconds(500))
                    try socket.connect(to: endpoint)
                    try peer(socket)
                    socket.close()
                    done.resume()
                } catch { done.resume(throwing: error) }
            }.start()
        }
        let worker = try WorkerThread(endpoint, context: context)
        let found = try await problem.search(runner)
        runner.shutdown()
        #expect(try await worker.end() != nil)
        return found
    }

    private static func receive(_ socket: Socket) throws -> CoordinatorMessage? {
        guard let frames = try socket.receive(blocking: true) else { return nil }
        let message = try Wire().decodeCoordinatorMessage(frames[0].data)
        return message == .alive ? nil : message
    }

    @Test func garbageIsRefusedAndHarmsNobody() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            for bytes: [UInt8] in [
                [], [0xFF], Array("GET / HTTP/1.1\r\n".utf8), [UInt8](repeating: 0x08, count: 9999),
            ] {
                _ = try socket.send([bytes], blocking: true)
                guard case .refused = try Self.receive(socket) else {
                    Issue.record("\(bytes.prefix(8)) was not refused")
                    return
                }
            }
            _ = try socket.send([[1], [2], [3]], blocking: true)
            guard case .refused = try Self.receive(socket) else {
                Issue.record("three frames were not refused")
                return
            }
        }
        #expect(try await found == problem.expected())
    }

    /// A message as its sender would send it.
    private static func say(_ message: WorkerMessage, on socket: Socket) throws {
        _ = try socket.send([Frame(try Wire().encode(message))], blocking: true)
    }

    private static func hello(_ version: String = "test") -> WorkerMessage {
        .hello(
            Hello(
                softwareVersion: version, identity: .random(), host: "nowhere", process: 1, processor: ""))
    }

    @Test func anotherSoftwareVersionIsRefusedByName() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            try Self.say(Self.hello("other"), on: socket)
            let reason = "the worker's software version is other, the coordinator's test"
            #expect(try Self.receive(socket) == .refused(reason: reason))
        }
        #expect(try await found == problem.expected())
    }

    @Test func aDamagedFrameIsAskedAboutAndTakenForNothingElse() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            var bytes = try Wire().encode(Self.hello())
            bytes[bytes.startIndex + 5] ^= 4
            _ = try socket.send([Frame(bytes)], blocking: true)
            #expect(try Self.receive(socket) == .introduce)
        }
        #expect(try await found == problem.expected())
    }

    @Test func claimsOfShardsThatThereAreNotAreRefused() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            try Self.say(Self.hello(), on: socket)
            guard case .welcome(let run) = try Self.receive(socket) else {
                Issue.record("no welcome came")
                return
            }
            try Self.say(.ready(shards: [run.sharding.shards]), on: socket)
            let reason =
                "the worker claims shards that there are not among \(run.sharding.shards)"
            #expect(try Self.receive(socket) == .refused(reason: reason))
        }
        #expect(try await found == problem.expected())
    }

    @Test func aFloodOfMessagesAndReplaysHarmsNobody() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            let frames = try [
                Self.hello(), .alive(computed: 1), .ready(shards: [0]), .cancelled(AttemptID(TaskID(1), 1)),
            ].map { Frame(try Wire().encode($0)) }
            for _ in 0..<5_000 {
                for frame in frames { _ = try socket.send([frame]) }
            }
        }
        #expect(try await found == problem.expected())
    }

    /// How often a peer waits 50 ms for what has to come: longer than the busiest machine takes.
    private static let patience = 4000

    /// Answers whatever it is given with `answer`, from the first task on.
    private static func answerTasks(
        on endpoint: String, in context: Context, count: Int,
        answer: @escaping @Sendable (WorkOrder, LossItem) throws -> [WorkerMessage]
    ) async throws -> [CoordinatorMessage] {
        try await withCheckedThrowingContinuation { done in
            Thread {
                do {
                    var messages: [CoordinatorMessage] = []
                    let socket = try Socket(.dealer, in: context)
                    try socket.set(.linger, .milliseconds(500))
                    try socket.connect(to: endpoint)
                    try Self.say(Self.hello(), on: socket)
                    try socket.set(.receiveTimeout, .milliseconds(50))
                    var tasks = 0
                    // What was said before the first answer is no verdict on it.
                    var before = 0
                    for _ in 0..<patience where tasks < count {
                        guard let message = try Self.receive(socket) else {
                            try Self.say(.alive(computed: 0), on: socket)
                            continue
                        }
                        messages.append(message)
                        switch message {
                        case .welcome: try Self.say(.ready(shards: [0, 1]), on: socket)
                        case .introduce: try Self.say(Self.hello(), on: socket)
                        case .refused: tasks = count
                        case .task(let order):
                            if tasks == 0 { before = messages.count }
                            tasks += 1
                            for message in try answer(order, LossItem(payload: order.key.payload)) {
                                try Self.say(message, on: socket)
                            }
                        default: break
                        }
                    }
                    for _ in 0..<patience {
                        if let message = try Self.receive(socket) {
                            messages.append(message)
                        } else if messages.dropFirst(before).contains(where: Self.isVerdict) {
                            break
                        } else {
                            try Self.say(.alive(computed: 0), on: socket)
                        }
                    }
                    socket.close()
                    done.resume(returning: messages)
                } catch { done.resume(throwing: error) }
            }.start()
        }
    }

    /// A search with a peer that answers tasks in its own way, and then with a good worker.
    private func search(
        _ problem: SmallProblem, count: Int = 1,
        answering answer: @escaping @Sendable (WorkOrder, LossItem) throws -> [WorkerMessage]
    ) async throws -> (found: [[String]], heard: [CoordinatorMessage]) {
        let context = try Context()
        let runner = try ClusterRunner(
            problem.settings(), endpoint: uniqueEndpoint(), context: context, logger: quiet)
        async let found = problem.search(runner)
        let heard = try await Self.answerTasks(
            on: runner.endpoint, in: context, count: count, answer: answer)
        let worker = try WorkerThread(runner.endpoint, context: context)
        let states = try await found
        runner.shutdown()
        #expect(try await worker.end() != nil)
        return (states, heard)
    }

    /// Whether a message says what became of an answer.
    private static func isVerdict(_ message: CoordinatorMessage) -> Bool {
        switch message {
        case .refused, .acknowledged, .introduce: true
        default: false
        }
    }

    private static func refusals(_ messages: [CoordinatorMessage]) -> [String] {
        messages.compactMap { if case .refused(let reason) = $0 { reason } else { nil } }
    }

    @Test(arguments: [0, 1, 7])
    func resultsOfTheWrongShapeAreRefusedByName(samples: Int) async throws {
        let problem = try SmallProblem()
        let (found, heard) = try await search(problem) { order, item in
            let losses = [Float](repeating: 0, count: item.samples.count + samples - 1)
            let scores = item.units.map { _ in SampleScores(losses: losses, correct: []) }
            let wrong = samples == 1 ? scores + scores : scores
            return [.result(TaskResult(id: order.id, result: LossItem.result(wrong), seconds: 0))]
        }
        let reason = Self.refusals(heard).first ?? ""
        #expect(reason.contains("has a wrong shape: 1 times 4 losses were asked for"), "\(reason)")
        #expect(try await found == problem.expected())
    }

    @Test func resultsOfTasksThatOthersHaveAreRefusedByName() async throws {
        let problem = try SmallProblem()
        let (found, heard) = try await search(problem) { order, item in
            // The right shape, zeros for losses, and an attempt that nobody was given.
            let id = AttemptID(order.id.task, order.id.attempt + 1)
            let score = SampleScores(losses: [Float](repeating: 0, count: item.samples.count), correct: [])
            let result = LossItem.result(item.units.map { _ in score })
            return [.result(TaskResult(id: id, result: result, seconds: 0))]
        }
        #expect(Self.refusals(heard).first?.contains("was not given to it") ?? false)
        #expect(try await found == problem.expected())
    }

    @Test func resultsThatComeAgainAndAgainCountOnce() async throws {
        let problem = try SmallProblem()
        let (found, _) = try await search(problem, count: 3) { order, item in
            let scores = LossItem.result(FakeComputation.scores(item))
            let result = TaskResult(id: order.id, result: scores, seconds: 0)
            return [WorkerMessage](repeating: .result(result), count: 20)
        }
        #expect(try await found == problem.expected())
    }

    @Test func anotherProtocolVersionIsAnsweredInWordsThatItUnderstands() async throws {
        let problem = try SmallProblem()
        let found = try await search(problem) { socket in
            // version = 9, alive.
            _ = try socket.send([[0x08, 0x09, 0xC2, 0x02, 0x00]], blocking: true)
            let reason = "the other side speaks version 9 of the protocol, this one version \(Wire.version)"
            #expect(try Self.receive(socket) == .refused(reason: reason))
        }
        #expect(try await found == problem.expected())
    }

    @Test func anOversizeFrameEndsItsConnectionOnly() async throws {
        let problem = try SmallProblem()
        var limits = WireLimits()
        limits.frameBytes = 10_000
        let found = try await search(problem, limits: limits) { socket in
            _ = try socket.send([[UInt8](repeating: 0, count: 1 << 20)], blocking: true)
            try socket.set(.receiveTimeout, .milliseconds(300))
            #expect(try Self.receive(socket) == nil)
        }
        #expect(try await found == problem.expected())
    }

    @Test func aWorkerThatVanishesWithTasksHoldsNobodyUp() async throws {
        let problem = try SmallProblem()
        let context = try Context()
        let runner = try ClusterRunner(
            problem.settings(heartbeat: .milliseconds(100)), endpoint: uniqueEndpoint(), context: context,
            logger: quiet)
        let endpoint = runner.endpoint
        async let found = problem.search(runner)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            Thread {
                do {
                    let socket = try Socket(.dealer, in: context)
                    try socket.set(.receiveTimeout, .seconds(5))
                    try socket.connect(to: endpoint)
                    let hello = Hello(
                        softwareVersion: "test", identity: .random(), host: "nowhere", process: 1,
                        processor: "")
                    _ = try socket.send([Frame(try Wire().encode(.hello(hello)))], blocking: true)
                    guard case .welcome = try Self.receive(socket) else { throw ClusterError.interrupted }
                    _ = try socket.send([Frame(try Wire().encode(.ready(shards: [0, 1])))], blocking: true)
                    // The search may begin much later: until then the worker shows that it is alive.
                    try socket.set(.receiveTimeout, .milliseconds(50))
                    for _ in 0..<2 {
                        var message = try Self.receive(socket)
                        while message == nil {
                            _ = try socket.send(
                                [Frame(try Wire().encode(.alive(computed: 0)))], blocking: true)
                            message = try Self.receive(socket)
                        }
                        guard case .task = message else { throw ClusterError.shutDown }
                    }
                    socket.close()
                    done.resume()
                } catch { done.resume(throwing: error) }
            }.start()
        }
        let worker = try WorkerThread(endpoint, context: context)
        #expect(try await found == problem.expected())
        runner.shutdown()
        #expect(try await worker.end() != nil)
    }
}
