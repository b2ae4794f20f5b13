internal import CZeroMQ
internal import Glibc

extension Socket {
    /// What became of a message to send.
    public enum SendOutcome: Hashable, Sendable {
        /// libzmq has it, and will deliver all its frames or none.
        case sent
        /// It was not taken: no peer is there, or its queue is full. Send it again when the socket is writable.
        case wouldBlock
    }

    /// Sends one message.
    ///
    /// - Parameters:
    ///   - frames: Its parts, at least one; for a router the first is the peer's routing id.
    ///   - blocking: Wait until it is taken (for `sendTimeout` at most).
    /// - Throws: `ZeroMQError`; `isUnroutable` if a router with `routerMandatory` knows no such peer.
    public func send(_ frames: [Frame], blocking: Bool = false) throws(ZeroMQError) -> SendOutcome {
        let handle = try handle("send")
        guard !frames.isEmpty else {
            throw ZeroMQError(EINVAL, "send", reason: "a message needs at least one frame")
        }
        var outcome = SendOutcome.sent
        for (index, frame) in frames.enumerated() {
            let more = index + 1 < frames.count ? ZMQ_SNDMORE : 0
            guard Self.send(frame, to: handle, flags: more | (blocking ? 0 : ZMQ_DONTWAIT)) else {
                guard zmq_errno() == EAGAIN else { throw .last("send a message of \(frames.count) frames") }
                if index == 0 { return .wouldBlock }
                // The peer went away in the middle. libzmq drops the frames that follow, but has to be given
                // them: otherwise they would start the next message.
                outcome = .wouldBlock
                continue
            }
        }
        return outcome
    }

    /// Sends one message of arrays of bytes.
    ///
    /// - Throws: `ZeroMQError`; `isUnroutable` if a router with `routerMandatory` knows no such peer.
    public func send(_ frames: [[UInt8]], blocking: Bool = false) throws(ZeroMQError) -> SendOutcome {
        try send(frames.map { Frame($0) }, blocking: blocking)
    }

    /// Receives one message.
    ///
    /// - Parameters:
    ///   - maximumFrames: The most parts that a message may have. One with more is read to its end and dropped.
    ///   - blocking: Wait for a message (for `receiveTimeout` at most).
    /// - Returns: The message's parts, at least one; nil if no message is there.
    /// - Throws: `ZeroMQError`; `EMSGSIZE` for a message that was dropped, after which the next can be received.
    public func receive(maximumFrames: Int = 8, blocking: Bool = false) throws(ZeroMQError) -> [Frame]? {
        let handle = try handle("receive")
        var frames: [Frame] = []
        var count = 0
        var code: Int32 = 0
        while true {
            guard let part = ReceivedMessage(from: handle, flags: blocking ? 0 : ZMQ_DONTWAIT, code: &code)
            else {
                switch code {
                case EINTR: continue
                case EAGAIN where count == 0: return nil
                default: throw ZeroMQError(code, "receive a message")
                }
            }
            count += 1
            if count <= maximumFrames { frames.append(Frame(part)) }
            if !part.hasMore { break }
        }
        guard count <= maximumFrames else {
            throw ZeroMQError(
                EMSGSIZE, "receive a message",
                reason: "it has \(count) frames, and \(maximumFrames) are allowed")
        }
        return frames
    }

    /// Hands one frame to libzmq; false leaves libzmq's error number set.
    private static func send(_ frame: Frame, to handle: UnsafeMutableRawPointer, flags: Int32) -> Bool {
        var result: Int32 = -1
        repeat {
            result = frame.withUnsafeBytes { zmq_send(handle, $0.baseAddress, $0.count, flags) }
        } while result < 0 && zmq_errno() == EINTR
        return result >= 0
    }
}
