import Dispatch
import Foundation
import Synchronization
import Testing

@testable import ZeroMQ

/// Messages arrive whole, or not at all, or with an error.
@Suite(.timeLimit(.minutes(1)))
struct MessageTests {
    /// A router that listens on `endpoint`, and a dealer that is connected to it.
    private func pair(_ endpoint: String, _ prepare: (Socket) throws -> Void = { _ in }) throws -> (
        Socket, Socket
    ) {
        let context = try Context()
        let router = try Socket(.router, in: context)
        try router.set(.routerMandatory, true)
        try prepare(router)
        try router.bind(to: endpoint)
        let dealer = try Socket(.dealer, in: context)
        try dealer.connect(to: router.lastEndpoint())
        return (router, dealer)
    }

    @Test(arguments: ["tcp://127.0.0.1:*", "ipc", "inproc://test"])
    func multipartMessagesMakeARoundTrip(transport: String) throws {
        if transport == "ipc" {
            try withTemporaryEndpoint { try makeRoundTrip(over: $0) }
        } else {
            try makeRoundTrip(over: transport)
        }
    }

    private func makeRoundTrip(over endpoint: String) throws {
        let (router, dealer) = try pair(endpoint)
        // 10 MB whose period, 251 bytes, divides no buffer's size.
        var large = Data()
        let period = Data(0..<251)
        for _ in 0..<40_000 { large.append(period) }
        let message = [Data(), Data([1, 2, 3]), large]
        #expect(try dealer.send(message.map { Frame($0) }, blocking: true) == .sent)
        let received = try #require(try eventually { try router.receive() })
        #expect(received.dropFirst().map(\.data) == message)

        // Received frames are sent on as they are: the routing id first, then back to the dealer.
        #expect(try router.send(received, blocking: true) == .sent)
        #expect(try eventually { try dealer.receive() }?.map(\.data) == message)
    }

    @Test func framesOutliveTheirSocketAndContext() throws {
        var data = Data()
        do {
            let (router, dealer) = try pair("inproc://test")
            _ = try dealer.send([[UInt8](repeating: 7, count: 100_000)])
            data = try #require(try eventually { try router.receive() })[1].data
        }
        #expect(data == Data(repeating: 7, count: 100_000))
    }

    @Test func whoeverChangesAFramesDataChangesNoFrame() throws {
        let (router, dealer) = try pair("inproc://test")
        _ = try dealer.send([[UInt8](repeating: 7, count: 1000)])
        let frame = try #require(try eventually { try router.receive() })[1]
        var data = frame.data
        data[0] = 8
        data.replaceSubrange(1..<2, with: [8])
        #expect(frame.bytes == [UInt8](repeating: 7, count: 1000))
    }

    /// libzmq's own way to share a message counts its holders within the message: who sends it writes to it.
    @Test func aReceivedFrameIsSentByManyThreadsAtOnce() throws {
        let (router, dealer) = try pair("inproc://test")
        let bytes = [UInt8](repeating: 7, count: 10_000)
        _ = try dealer.send([bytes])
        let frame = try #require(try eventually { try router.receive() })[1]
        let failures = Mutex<[String]>([])
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            do {
                let (router, dealer) = try pair("inproc://test")
                for _ in 0..<500 {
                    _ = try dealer.send([frame], blocking: true)
                    let arrived = try eventually { try router.receive() }
                    if arrived?.last?.bytes != bytes {
                        failures.withLock { $0.append("other bytes arrived") }
                    }
                }
            } catch { failures.withLock { $0.append("\(error)") } }
        }
        #expect(failures.withLock { $0 } == [])
        #expect(frame.bytes == bytes)
    }

    @Test func framesCompareByBytes() {
        #expect(Frame([1, 2]) == Frame(Data([1, 2])))
        #expect(Frame("ab") != Frame([97]))
        #expect(Set([Frame([]), Frame(Data()), Frame([0])]).count == 2)
    }

    @Test func sendingToAnUnknownPeerIsAnError() throws {
        let (router, _) = try pair("inproc://test")
        let error = #expect(throws: ZeroMQError.self) { try router.send([[9, 9, 9], [1]]) }
        #expect(error?.isUnroutable == true)
        #expect(error?.name == "EHOSTUNREACH")
    }

    @Test func sendingToNobodyWouldBlock() throws {
        let dealer = try Socket(.dealer, in: Context())
        #expect(try dealer.send([[1]]) == .wouldBlock)
        #expect(try dealer.receive() == nil)
        #expect(throws: ZeroMQError.self) { try dealer.send([[UInt8]]()) }
    }

    @Test func aFullQueueWouldBlockAndLosesNothing() throws {
        let context = try Context()
        let (one, other) = (try Socket(.pair, in: context), try Socket(.pair, in: context))
        try one.set(.sendHighWaterMark, 2)
        try other.set(.receiveHighWaterMark, 3)
        try one.bind(to: "inproc://full")
        try other.connect(to: "inproc://full")
        var sent: UInt8 = 0
        while try one.send([[sent], [sent]]) == .sent { sent += 1 }
        // inproc has one queue, as long as both marks together (zmq_socket(7), "high water mark").
        #expect(sent == 5)
        for number in 0..<sent { #expect(try other.next() == [[number], [number]]) }
        // The writing side hears of the room with its next commands, a millisecond or so later.
        #expect(try eventually { try one.send([[99]]) == .sent ? true : nil } == true)
        #expect(try other.next() == [[99]])
    }

    @Test func tooLargeAMessageDisconnectsItsSender() throws {
        let (router, dealer) = try pair("tcp://127.0.0.1:*") { try $0.set(.maximumMessageSize, 1000) }
        let monitor = try router.monitor()
        #expect(try dealer.send([[UInt8](repeating: 0, count: 1000)]) == .sent)
        #expect(try router.next()?[1].count == 1000)
        #expect(try dealer.send([[UInt8](repeating: 0, count: 1001)]) == .sent)
        #expect(try monitor.next { $0 == .disconnected } != nil)
        #expect(try router.receive() == nil)
    }

    @Test func tooManyFramesAreDroppedAndTheNextMessageIsReadable() throws {
        let (router, dealer) = try pair("inproc://test")
        _ = try dealer.send((0..<20).map { [$0] })
        _ = try dealer.send([[1], [2]])
        let error = #expect(throws: ZeroMQError.self) { try eventually { try router.receive() } }
        #expect(error?.name == "EMSGSIZE")
        #expect(error?.description.contains("it has 21 frames, and 8 are allowed") == true)
        #expect(try router.next()?.dropFirst() == [[1], [2]])
    }

    @Test func aVanishedPeerInTheMiddleOfManyMessagesKeepsTheOrderOfFrames() throws {
        // Peers come and go while a dealer sends; whatever arrives must be whole messages.
        try withTemporaryEndpoint { try sendToPeersThatComeAndGo(at: $0) }
    }

    private func sendToPeersThatComeAndGo(at endpoint: String) throws {
        let context = try Context()
        let dealer = try Socket(.dealer, in: context)
        try dealer.set(.reconnectInterval, .milliseconds(1))
        try dealer.connect(to: endpoint)
        var number: UInt8 = 0
        var arrived = 0
        for _ in 0..<5 {
            let router = try Socket(.router, in: context)
            try router.bind(to: endpoint)
            let before = arrived
            _ = try eventually {
                if try dealer.send([[number], [number], [number]]) == .sent { number &+= 1 }
                while let frames = try router.receive() {
                    #expect(frames.count == 4)
                    #expect(frames[1] == frames[2] && frames[2] == frames[3])
                    arrived += 1
                }
                return arrived > before + 5 ? true : nil
            }
            router.close()
        }
        #expect(arrived > 25)
    }
}
