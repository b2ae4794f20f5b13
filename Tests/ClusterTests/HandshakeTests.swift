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
