import Testing
import ZeroMQ

@testable import Cluster

@Suite struct HandshakeTests {
    private func verdicts(of answer: GreetingProbe.Answer, connections: Int) -> [HandshakeWatch.Verdict?] {
        var watch = HandshakeWatch { answer }
        return (0..<connections).flatMap { _ in
            [MonitorEvent.Kind.connected, .disconnected].map { watch.verdict(after: $0) }
        }
    }

    @Test func sixBrokenHandshakesWithSomethingThatGreetsAreAWrongKey() {
        let found = verdicts(of: .greets, connections: 6)
        #expect(found.dropLast().allSatisfy { $0 == nil })
        guard case .refused(let reason)?? = found.last else {
            Issue.record("it is not refused")
            return
        }
        #expect(reason.contains("another key"))
    }

    @Test func sixBrokenConnectionsWithoutAGreetingAreAnAbsentCoordinator() {
        let found = verdicts(of: .saysNothing, connections: 18).compactMap { $0 }
        #expect(found.count == 3)
        #expect(found.allSatisfy { if case .absent = $0 { true } else { false } })
    }

    @Test func whatBreaksAConnectionThatHadOpenedIsNoWrongKey() {
        let changed = HandshakeFailure.protocolError(code: 0x1100_0001)
        var fresh = HandshakeWatch { .greets }
        guard case .refused? = fresh.verdict(after: .handshakeFailed(changed)) else {
            Issue.record("a first handshake that fails is refused")
            return
        }
        var watch = HandshakeWatch { .greets }
        #expect(watch.verdict(after: .connected) == nil)
        #expect(watch.verdict(after: .handshakeSucceeded) == nil)
        for failure in [changed, .denied(status: 400)] {
            guard case .broken? = watch.verdict(after: .handshakeFailed(failure)) else {
                Issue.record("\(failure) ends a worker that had been let in")
                return
            }
        }
        for _ in 0..<HandshakeWatch.limit * 3 {
            for event in [MonitorEvent.Kind.connected, .disconnected] {
                if case .refused(let reason)? = watch.verdict(after: event) { Issue.record("\(reason)") }
            }
        }
    }

    @Test func whatIsGoneMeanwhileIsWaitedFor() {
        #expect(verdicts(of: .nothing, connections: 12).allSatisfy { $0 == nil })
    }

    @Test func aRealCoordinatorGreets() throws {
        let router = try Socket(.router, in: Context())
        try router.useCurve(
            secretKey: CurveKeyPair.generate().secretKey, authenticator: nil)
        try router.bind(to: "tcp://127.0.0.1:*")
        #expect(GreetingProbe.look(at: try router.get(.lastEndpoint)) == .greets)
        #expect(GreetingProbe.look(at: "tcp://127.0.0.1:1") == .nothing)
    }
}
