import Foundation
import Testing

@testable import ZeroMQ

/// Errors are sentences, options keep their values, and nothing hangs at the end.
@Suite(.timeLimit(.minutes(1)))
struct SocketTests {
    @Test func errorsSayWhatWasBeingDone() throws {
        let context = try Context()
        let first = try Socket(.router, in: context)
        try first.bind(to: "tcp://127.0.0.1:*")
        let endpoint = try first.lastEndpoint()
        let second = try Socket(.router, in: context)
        let taken = #expect(throws: ZeroMQError.self) { try second.bind(to: endpoint) }
        #expect(taken?.isAddressInUse == true)
        #expect(taken?.description == "could not bind to \(endpoint): address already in use (EADDRINUSE)")
        for bad in [
            "", "tcp", "tcp://", "carrier-pigeon://x", "tcp://127.0.0.1:99999", "tcp://no such host:1",
        ] {
            #expect(throws: ZeroMQError.self, "\(bad)") { try second.bind(to: bad) }
        }
        let long = "ipc:///tmp/" + String(repeating: "x", count: 200)
        #expect(throws: ZeroMQError.self) { try second.bind(to: long) }
        #expect(throws: ZeroMQError.self) { try second.disconnect(from: "tcp://127.0.0.1:1") }
        #expect(throws: ZeroMQError.self) { try second.unbind(from: "tcp://127.0.0.1:1") }
        // The socket still works.
        try first.unbind(from: endpoint)
        #expect(try eventually { (try? second.bind(to: endpoint)).map { true } } == true)
    }

    @Test func optionsKeepTheirValues() throws {
        let socket = try Socket(.dealer, in: Context())
        #expect(try socket.get(.linger) == .zero)
        #expect(try socket.get(.maximumMessageSize) == -1)
        try socket.set(.linger, .microseconds(1_500_001))
        #expect(try socket.get(.linger) == .milliseconds(1501))
        try socket.set(.maximumMessageSize, 1 << 33)
        #expect(try socket.get(.maximumMessageSize) == 1 << 33)
        try socket.set(.sendHighWaterMark, 17)
        #expect(try socket.get(.sendHighWaterMark) == 17)
        try socket.set(.receiveHighWaterMark, 18)
        #expect(try socket.get(.receiveHighWaterMark) == 18)
        for option in [
            SocketOption<Duration>.heartbeatInterval, .heartbeatTimeout, .handshakeInterval,
            .reconnectInterval,
            .maximumReconnectInterval, .connectTimeout, .sendTimeout, .receiveTimeout, .heartbeatTimeToLive,
        ] {
            try socket.set(option, .seconds(3))
            #expect(try socket.get(option) == .seconds(3), "\(option.name)")
        }
        for option in [SocketOption<Bool>.ipv6, .immediate, .tcpKeepalive] {
            try socket.set(option, true)
            #expect(try socket.get(option), "\(option.name)")
        }
        try socket.set(.tcpKeepaliveIdle, .seconds(30))
        #expect(try socket.get(.tcpKeepaliveIdle) == .seconds(30))
        try socket.set(.tcpKeepaliveInterval, .seconds(5))
        try socket.set(.tcpKeepaliveCount, 4)
        try socket.set(.routingIdentity, [1, 2, 3])
        #expect(try socket.get(.routingIdentity) == [1, 2, 3])
        try socket.set(.zapDomain, "workers")
        #expect(try socket.get(.zapDomain) == "workers")
        let router = try Socket(.router, in: Context())
        try router.set(.routerMandatory, true)
        try router.set(.routerHandover, false)
        let error = #expect(throws: ZeroMQError.self) { try socket.set(.routingIdentity, []) }
        #expect(
            error?.description
                == "could not set routingIdentity of a dealer socket: invalid argument (EINVAL)")
        #expect(throws: ZeroMQError.self) { try socket.set(.heartbeatTimeToLive, .seconds(100_000)) }
    }

    @Test func contextSettingsOutOfRangeAreErrors() {
        #expect(throws: ZeroMQError.self) { try Context(ioThreads: -1) }
        #expect(throws: ZeroMQError.self) { try Context(maxSockets: 0) }
    }

    @Test func unsentMessagesDoNotHoldUpTheEnd() throws {
        let start = ContinuousClock.now
        do {
            let context = try Context()
            let dealer = try Socket(.dealer, in: context)
            // No one listens on the discard port's neighbour.
            try dealer.connect(to: "tcp://127.0.0.1:10")
            #expect(try dealer.send([[1], [2]]) == .sent)
        }
        #expect(ContinuousClock.now - start < .seconds(5))
    }

    @Test func aClosedSocketSaysSo() throws {
        let socket = try Socket(.dealer, in: Context())
        socket.close()
        socket.close()
        let error = #expect(throws: ZeroMQError.self) { try socket.send([[1]]) }
        #expect(error?.description == "could not send: the dealer socket was closed (ENOTSOCK)")
        var poller = Poller()
        _ = poller.add(socket)
        #expect(throws: ZeroMQError.self) { try poller.wait(timeout: .zero) }
    }

    @Test func shutdownEndsBlockedCalls() throws {
        let context = try Context()
        let socket = try Socket(.dealer, in: context)
        Thread {
            usleep(50_000)
            context.shutdown()
        }.start()
        let blocked = #expect(throws: ZeroMQError.self) { try socket.receive(blocking: true) }
        #expect(blocked?.isContextTerminated == true)
        var poller = Poller()
        _ = poller.add(socket)
        #expect(throws: ZeroMQError.self) { try poller.wait() }
        let late = #expect(throws: ZeroMQError.self) { try Socket(.pair, in: context) }
        #expect(late?.isContextTerminated == true)
    }
}
