internal import Coordination
public import Foundation
internal import ZeroMQ

/// Asks a running coordinator how far it is.
public enum StatusRequest {
    /// - Parameters:
    ///   - endpoint: where the coordinator listens.
    ///   - keys: a worker's keys; `nil` without encryption.
    ///   - limit: how long an answer is waited for.
    /// - Returns: a JSON object.
    /// - Throws: `ClusterError.noStatus` when there is no answer, with the reason if one is known.
    public static func status(of endpoint: String, keys: WorkerKeys?, within limit: Duration) throws -> Data {
        let context = try Context()
        let socket = try Socket(.dealer, in: context)
        let wire = Wire(limits: WireLimits())
        try Transport.configure(socket, frameBytes: wire.limits.coordinatorFrameBytes)
        try socket.set(.linger, .zero)
        if endpoint.contains("[") { try socket.set(.ipv6, true) }
        if let keys { try socket.useCurve(keys: keys.own, serverKey: keys.coordinator) }
        let monitor = try socket.monitor()
        try socket.connect(to: endpoint)
        defer { socket.close() }
        _ = try socket.send([Frame(wire.encode(WorkerMessage.askStatus))])
        var poller = Poller()
        _ = poller.add(socket)
        _ = poller.add(monitor.socket)
        var handshakes = HandshakeWatch(hasKeys: keys != nil) {
            GreetingProbe.look(at: endpoint, hasKeys: keys != nil)
        }
        var note: String?
        let stopwatch = Stopwatch()
        while stopwatch.now - .zero < limit {
            _ = try poller.wait(timeout: .milliseconds(200))
            if let frames = try socket.receive(), let frame = frames.last,
                case .status(let json) = try wire.decodeCoordinatorMessage(frame.data)
            {
                return json
            }
            while let event = try monitor.next() {
                switch handshakes.verdict(after: event.kind) {
                case .refused(let reason), .broken(let reason):
                    throw ClusterError.noStatus(endpoint: endpoint, reason: reason)
                case .absent(let reason): note = reason
                case nil: break
                }
            }
        }
        if note == nil, GreetingProbe.isUnknownHost(endpoint) { note = "there is no such host" }
        throw ClusterError.noStatus(endpoint: endpoint, reason: note ?? "nothing answered within \(limit)")
    }
}
