import Foundation
import Testing

@testable import ZeroMQ

/// A poll loop hears of messages, data and bells, and wakes in time.
@Suite(.timeLimit(.minutes(1)))
struct PollerTests {
    @Test func anotherThreadWakesThePoller() throws {
        let wakeup = try Wakeup()
        let socket = try Socket(.dealer, in: Context())
        var poller = Poller()
        _ = poller.add(socket)
        let bell = poller.add(wakeup)
        let start = ContinuousClock.now
        Thread {
            usleep(50_000)
            wakeup.signal()
            wakeup.signal()
        }.start()
        #expect(try poller.wait(timeout: .seconds(20)) == [.init(key: bell, events: .readable)])
        #expect(ContinuousClock.now - start < .seconds(10))
        usleep(20_000)
        wakeup.reset()
        wakeup.reset()
        #expect(try poller.wait(timeout: .zero) == [])
    }

    @Test func socketsAndDescriptorsAreReported() throws {
        let context = try Context()
        let (one, other) = (try Socket(.pair, in: context), try Socket(.pair, in: context))
        try one.bind(to: "inproc://poll")
        try other.connect(to: "inproc://poll")
        let pipe = Pipe()
        var poller = Poller()
        let socketKey = poller.add(other)
        let pipeKey = poller.add(descriptor: pipe.fileHandleForReading.fileDescriptor)
        let writer = poller.add(one, for: .writable)
        #expect(try poller.wait(timeout: .seconds(10)) == [.init(key: writer, events: .writable)])
        poller.update(writer, for: [])
        _ = try one.send([[1]])
        try pipe.fileHandleForWriting.write(contentsOf: [1])
        #expect(
            try eventually { try poller.wait(timeout: .seconds(1)).count == 2 ? true : nil } == true)
        #expect(try poller.wait().map(\.key) == [socketKey, pipeKey])
        poller.remove(pipeKey)
        _ = try other.receive()
        #expect(try poller.wait(timeout: .milliseconds(1)) == [])
    }

    @Test func timeIsUpInTime() throws {
        let wakeup = try Wakeup()
        var poller = Poller()
        _ = poller.add(wakeup)
        let start = ContinuousClock.now
        #expect(try poller.wait(timeout: .microseconds(30_500)) == [])
        #expect(ContinuousClock.now - start >= .microseconds(30_500))
        #expect(try poller.wait(timeout: .seconds(-1)) == [])
    }

    @Test func waitingForNothingForEverIsAnError() throws {
        #expect(throws: ZeroMQError.self) { try Poller().wait() }
        #expect(try Poller().wait(timeout: .milliseconds(1)) == [])
    }

    @Test func signalsOfTheSystemDoNotEndAWait() throws {
        // SIGUSR1 interrupts the poll (EINTR); the wait goes on for its full time.
        signal(SIGUSR1) { _ in }
        let thread = pthread_self()
        let wakeup = try Wakeup()
        var poller = Poller()
        _ = poller.add(wakeup)
        Thread {
            for _ in 0..<5 {
                usleep(20_000)
                pthread_kill(thread, SIGUSR1)
            }
        }.start()
        let start = ContinuousClock.now
        #expect(try poller.wait(timeout: .milliseconds(200)) == [])
        #expect(ContinuousClock.now - start >= .milliseconds(200))
    }
}
