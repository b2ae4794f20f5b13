internal import Dispatch
internal import Foundation
internal import Glibc
internal import Synchronization

/// Decides which peers may connect to a context's CURVE servers: those whose public keys are on a list.
///
/// It answers libzmq's questions on a thread of its own, from `init` until the last reference goes. Servers keep
/// it (see `Socket.useCurve`), because libzmq lets everybody in when nobody answers. A context has at most one.
public final class ZAPAuthenticator: Sendable {
    /// Where libzmq asks (RFC 27).
    static let endpoint = "inproc://zeromq.zap.01"

    let context: Context
    private let state: State

    /// What the thread shares; it must not keep the authenticator itself alive.
    private final class State: Sendable {
        let allowed: Mutex<Set<CurvePublicKey>>
        let isStopping = Atomic(false)
        let thread = Atomic<UInt>(0)
        let wakeup: Wakeup
        let started = DispatchSemaphore(value: 0)
        let startError = Mutex<ZeroMQError?>(nil)
        let ended = DispatchSemaphore(value: 0)
        let onDenial: @Sendable (ZAPDenial) -> Void

        init(_ allowed: Set<CurvePublicKey>, _ onDenial: @escaping @Sendable (ZAPDenial) -> Void)
            throws(ZeroMQError)
        {
            self.allowed = Mutex(allowed)
            self.onDenial = onDenial
            wakeup = try Wakeup()
        }
    }

    /// Starts to answer.
    ///
    /// - Parameters:
    ///   - context: The context of the sockets to guard.
    ///   - allowed: The public keys of the peers that may connect.
    ///   - onDenial: Told of each attempt of another peer; called on the authenticator's thread, where it must not
    ///     wait.
    /// - Throws: `ZeroMQError`; `isAddressInUse` if the context has an authenticator already.
    public init(
        context: Context, allowed: Set<CurvePublicKey>,
        onDenial: @escaping @Sendable (ZAPDenial) -> Void = { _ in }
    ) throws(ZeroMQError) {
        self.context = context
        let state = try State(allowed, onDenial)
        self.state = state
        let thread = Thread {
            state.thread.store(UInt(pthread_self()), ordering: .releasing)
            do throws(ZeroMQError) {
                let socket = try Socket(.reply, in: context)
                try socket.bind(to: Self.endpoint)
                state.started.signal()
                Self.answer(socket, state)
            } catch {
                state.startError.withLock { $0 = error }
                state.started.signal()
            }
            state.ended.signal()
        }
        thread.name = "espalier-zap"
        thread.start()
        state.started.wait()
        if let error = state.startError.withLock({ $0 }) { throw error }
    }

    deinit {
        state.isStopping.store(true, ordering: .releasing)
        state.wakeup.signal()
        // The last reference may go within `onDenial`, on the thread itself, which then ends right after.
        if state.thread.load(ordering: .acquiring) != UInt(pthread_self()) { state.ended.wait() }
    }

    /// The keys of the peers that may connect.
    public var allowed: Set<CurvePublicKey> { state.allowed.withLock { $0 } }

    /// Replaces the list; connections that exist already stay.
    public func replaceAllowed(by keys: Set<CurvePublicKey>) {
        state.allowed.withLock { $0 = keys }
    }

    /// Answers until told to stop, or until the context is shut down and no server accepts anybody.
    private static func answer(_ socket: Socket, _ state: State) {
        var poller = Poller()
        _ = poller.add(socket)
        _ = poller.add(state.wakeup)
        while !state.isStopping.load(ordering: .acquiring) {
            do throws(ZeroMQError) {
                _ = try poller.wait()
                while let frames = try socket.receive(maximumFrames: 16) {
                    _ = try socket.send(reply(to: frames, state), blocking: true)
                }
            } catch {
                if error.isContextTerminated { return }
                // Whatever it was, it must not end the thread: without answers libzmq lets everybody in.
                _ = try? socket.send(ZAPRequest.malformedReply)
            }
        }
    }

    private static func reply(to frames: [Frame], _ state: State) -> [Frame] {
        guard let request = ZAPRequest(frames: frames) else { return ZAPRequest.malformedReply }
        let isAllowed = request.publicKey.map { key in state.allowed.withLock { $0.contains(key) } } ?? false
        if !isAllowed {
            state.onDenial(
                ZAPDenial(
                    address: request.address, domain: request.domain, mechanism: request.mechanism,
                    publicKey: request.publicKey))
        }
        return request.reply(isAllowed: isAllowed)
    }
}
