import Testing
import ZeroMQ

@testable import Cluster

@Suite struct HandshakeTests {
    private func verdicts(of answer: GreetingProbe.Answer, connections: Int, hasKeys: Bool = true)
        -> [HandshakeWatch.Verdict?]
    {
        var watch = HandshakeWatch(hasKeys: hasKeys) { answer }
        return (0..<connections).flatMap { _ in
            [MonitorEvent.Kind.connected, .disconnected].map { watch.verdict(after: $0) }
        }
    }

    @Test func brokenHandshakesWithSomethingThatGreetsAreAWrongKeyOnceItIsThereForCertain() {
        let found = verdicts(
            of: .greets(.curve), connections: HandshakeWatch.limit + HandshakeWatch.confirmations)
        // The first six may have met nobody: the coordinator may have come just before the probe.
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
        var fresh = HandshakeWatch(hasKeys: true) { .greets(.curve) }
        // A changed byte breaks one handshake, a wrong key all of them.
        let first = (0..<HandshakeWatch.violationLimit).map { _ in
            fresh.verdict(after: .handshakeFailed(changed))
        }
        #expect(first.dropLast().allSatisfy { if case .broken? = $0 { true } else { false } })
        guard case .refused?? = first.last else {
            Issue.record("first handshakes that always fail are refused")
            return
        }
        var watch = HandshakeWatch(hasKeys: true) { .greets(.curve) }
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

    @Test(arguments: [
        (true, GreetingProbe.Mechanism.null, "runs with --insecure"),
        (false, .curve, "takes only those with keys"), (true, .unknown, "another key"),
    ])
    func keysOnOneSideAloneAreToldFromWrongKeys(
        hasKeys: Bool, theirs: GreetingProbe.Mechanism, told: String
    ) {
        guard
            case .refused(let reason)? = verdicts(of: .greets(theirs), connections: 8, hasKeys: hasKeys)
                .compactMap({ $0 }).first
        else {
            Issue.record("it is not refused")
            return
        }
        #expect(reason.contains(told))
    }

    @Test(arguments: [true, false]) func aRealCoordinatorGreetsAndSaysHowItSecuresConnections(hasKeys: Bool)
        throws
    {
        let router = try Socket(.router, in: Context())
        if hasKeys {
            try router.useCurve(secretKey: CurveKeyPair.generate().secretKey, authenticator: nil)
        }
        try router.bind(to: "tcp://127.0.0.1:*")
        #expect(
            GreetingProbe.look(at: try router.get(.lastEndpoint), hasKeys: true)
                == .greets(hasKeys ? .curve : .null))
        #expect(GreetingProbe.look(at: "tcp://127.0.0.1:1", hasKeys: false) == .nothing)
    }
}
