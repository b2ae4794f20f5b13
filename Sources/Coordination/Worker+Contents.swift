internal import OrderedCollections

/// A worker asks for pieces of contents until they come, over whatever connection.
extension Worker {
    mutating func ask(for request: ChunkRequest) -> [WorkerAction] {
        requests.append(request)
        return phase == .loading || phase == .ready ? [.send(.fetch(request))] : []
    }

    /// What was asked for on another connection does not come on this one.
    func askAgain() -> [WorkerAction] { requests.map { .send(.fetch($0)) } }

    mutating func take(_ chunk: Chunk) -> [WorkerAction] {
        let request = ChunkRequest(sha256: chunk.sha256, offset: chunk.offset, count: chunk.bytes.count)
        // One that nobody waits for was sent twice.
        return requests.remove(request) == nil ? [] : [.deliver(chunk)]
    }

    mutating func giveUp(_ sha256: [UInt8], because reason: String) -> [WorkerAction] {
        let wanted = requests.count
        requests.removeAll { $0.sha256 == sha256 }
        return requests.count == wanted ? [] : [.missing(sha256: sha256, reason: reason)]
    }
}
