import Coordination
import Foundation
import Search
import Testing
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
        let evaluator = try ClusterEvaluator(
            problem.settings(), endpoint: uniqueEndpoint(), limits: limits, context: context, logger: quiet)
        let endpoint = evaluator.endpoint
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
        let found = try await problem.search(evaluator)
        evaluator.shutdown()
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
        let evaluator = try ClusterEvaluator(
            problem.settings(heartbeat: .milliseconds(100)), endpoint: uniqueEndpoint(), context: context,
            logger: quiet)
        let endpoint = evaluator.endpoint
        async let found = problem.search(evaluator)
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
        evaluator.shutdown()
        #expect(try await worker.end() != nil)
    }
}
