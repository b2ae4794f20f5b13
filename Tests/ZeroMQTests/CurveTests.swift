import Foundation
import Testing

@testable import ZeroMQ

/// Only peers with the right keys get in, and the others are told apart from silence.
@Suite(.timeLimit(.minutes(1)))
struct CurveTests {
    private let server: CurveKeyPair
    private let client: CurveKeyPair

    init() throws {
        server = try .generate()
        client = try .generate()
    }

    /// A router that lets in `allowed`, and what it denies.
    private func router(
        _ context: Context, allowed: Set<CurvePublicKey>
    ) throws -> (Socket, SocketMonitor, Shared<[ZAPDenial]>) {
        let denials = Shared<[ZAPDenial]>([])
        let router = try Socket(.router, in: context)
        try router.useCurve(
            secretKey: server.secretKey,
            authenticator: ZAPAuthenticator(context: context, allowed: allowed) { denial in
                denials.change { $0.append(denial) }
            }, domain: "workers")
        let monitor = try router.monitor()
        try router.bind(to: "tcp://127.0.0.1:*")
        return (router, monitor, denials)
    }

    private func dealer(
        _ context: Context, to router: Socket, serverKey: CurvePublicKey? = nil
    ) throws -> (Socket, SocketMonitor) {
        let dealer = try Socket(.dealer, in: context)
        try dealer.useCurve(keys: client, serverKey: serverKey ?? server.publicKey)
        let monitor = try dealer.monitor()
        try dealer.connect(to: router.lastEndpoint())
        return (dealer, monitor)
    }

    @Test func anAllowedKeyGetsIn() throws {
        let context = try Context()
        let (router, routerMonitor, denials) = try router(context, allowed: [client.publicKey])
        let (dealer, dealerMonitor) = try dealer(Context(), to: router)
        _ = try dealer.send([[42]])
        #expect(try router.next()?.last == [42])
        let endpoint = try router.lastEndpoint()
        #expect(try routerMonitor.next { $0 == .handshakeSucceeded } != nil)
        #expect(try dealerMonitor.next { $0 == .handshakeSucceeded }?.endpoint == endpoint)
        #expect(denials.value == [])
    }

    @Test func aKeyThatIsNotOnTheListIsDeniedOnBothSides() throws {
        let context = try Context()
        let (router, routerMonitor, denials) = try router(context, allowed: [server.publicKey])
        let (dealer, dealerMonitor) = try dealer(context, to: router)
        _ = try dealer.send([[42]])
        #expect(try dealerMonitor.handshakeFailure() == .denied(status: 400))
        #expect(try routerMonitor.handshakeFailure() == .denied(status: 400))
        #expect(try router.receive() == nil)
        let denial = try #require(denials.value.first)
        #expect(denial.publicKey == client.publicKey)
        #expect(denial.address == "127.0.0.1")
        #expect(denial.domain == "workers")
        #expect(denial.mechanism == "CURVE")
    }

    @Test func aListThatChangesLetsThePeerIn() throws {
        let context = try Context()
        let (router, _, denials) = try router(context, allowed: [])
        let (dealer, _) = try dealer(context, to: router)
        #expect(try eventually { denials.value.isEmpty ? nil : true } == true)
        dealer.close()
        router.authenticator?.replaceAllowed(by: [client.publicKey])
        let (again, _) = try self.dealer(context, to: router)
        _ = try again.send([[1]])
        #expect(try router.next()?.last == [1])
    }

    @Test func aWrongServerKeyIsANamedFailure() throws {
        let context = try Context()
        let (router, routerMonitor, _) = try router(context, allowed: [client.publicKey])
        let (dealer, dealerMonitor) = try dealer(context, to: router, serverKey: client.publicKey)
        _ = try dealer.send([[42]])
        let failure = try #require(try routerMonitor.handshakeFailure())
        #expect(failure.isWrongKey)
        #expect(failure.description.contains("wrong server key"))
        // The server hangs up without a word, so the client sees no more than a broken connection.
        #expect(try dealerMonitor.next { $0 == .disconnected } != nil)
        #expect(try router.receive() == nil)
    }

    @Test func aPeerWithoutEncryptionDoesNotGetIn() throws {
        let context = try Context()
        let (router, routerMonitor, _) = try router(context, allowed: [client.publicKey])
        let dealer = try Socket(.dealer, in: context)
        try dealer.connect(to: router.lastEndpoint())
        _ = try dealer.send([[42]])
        let failure = try #require(try routerMonitor.handshakeFailure())
        #expect(failure.description == "only one of the two sides uses encryption")
        #expect(try router.receive() == nil)
    }

    @Test func strangersThatSendGarbageDoNoHarm() throws {
        let context = try Context()
        let (router, _, _) = try router(context, allowed: [client.publicKey])
        let port = try #require(UInt16(router.lastEndpoint().split(separator: ":").last ?? ""))
        for seed in 0..<20 {
            let descriptor = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let connected = withUnsafeBytes(of: &address) {
                Foundation.connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), 16)
            }
            #expect(connected == 0)
            // A ZMTP signature, so that the rest is looked at, then bytes of a linear congruential generator.
            var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
            var bytes: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 0]
            for _ in 0..<500 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(UInt8(state >> 56))
            }
            _ = Foundation.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
        let (dealer, _) = try dealer(context, to: router)
        _ = try dealer.send([[42]])
        #expect(try router.next()?.last == [42])
    }

    @Test func aContextHasOneAuthenticator() throws {
        let context = try Context()
        let first = try ZAPAuthenticator(context: context, allowed: [])
        let error = #expect(throws: ZeroMQError.self) { try ZAPAuthenticator(context: context, allowed: []) }
        #expect(error?.isAddressInUse == true)
        #expect(first.allowed == [])
    }
}
