internal import Coordination

/// Requests for chunks that wait to be answered, one worker after the other, so that none keeps the others waiting and
/// tasks and heartbeats go in between.
struct ServeQueue {
    private var requests: [ConnectionID: [ChunkRequest]] = [:]
    /// Whose turn it is.
    private var turns: [ConnectionID] = []
    /// More than a worker asks for at once; what goes beyond is dropped, and asked for again.
    private static let longest = 32

    var isEmpty: Bool { turns.isEmpty }

    mutating func add(_ request: ChunkRequest, from connection: ConnectionID) {
        let waiting = requests[connection, default: []]
        guard waiting.count < Self.longest, !waiting.contains(request) else { return }
        if waiting.isEmpty { turns.append(connection) }
        requests[connection, default: []].append(request)
    }

    /// The next request, and who made it.
    mutating func next() -> (request: ChunkRequest, connection: ConnectionID)? {
        guard !turns.isEmpty else { return nil }
        let connection = turns.removeFirst()
        guard var waiting = requests[connection], !waiting.isEmpty else { return nil }
        let request = waiting.removeFirst()
        requests[connection] = waiting.isEmpty ? nil : waiting
        if !waiting.isEmpty { turns.append(connection) }
        return (request, connection)
    }

    /// Forgets a connection that is gone.
    mutating func remove(_ connection: ConnectionID) {
        requests[connection] = nil
        turns.removeAll { $0 == connection }
    }
}
