internal import Coordination
internal import Journal
internal import Logging
internal import Work
internal import ZeroMQ

/// Does what the state machine wants done.
extension CoordinatorLoop {
    func perform(_ action: CoordinatorAction, _ events: inout [CoordinatorEvent]) throws {
        switch action {
        case .send(let message, let connection):
            if !send(message, to: connection) { events.append(.disconnected(connection)) }
        case .journal(let record):
            try configuration.journal?.keep([record])
            advanced = true
        case .note(let numerics): try configuration.journal?.note(numerics)
        case .finished(let source):
            continuation?.resume(returning: source)
            continuation = nil
        case .fail(let error): finish(throwing: error)
        // A ROUTER cannot close one connection; whoever is still there is asked to introduce itself.
        case .close(let connection): serving.remove(connection)
        case .serve(let request, let connection): serving.add(request, from: connection)
        case .report(let connection):
            _ = send(.status(json: configuration.status()), to: connection)
        case .log(let level, let text): logger.log(level: Logger.Level(level), "\(text)")
        }
    }

    /// - Returns: whether the peer is still there.
    func send(_ message: CoordinatorMessage, to connection: ConnectionID) -> Bool {
        do {
            let bytes = try wire.encode(message)
            guard let listener = listeners.first(where: { $0.owns(connection) }) else { return false }
            return try listener.send(bytes, to: connection)
        } catch {
            if (error as? ZeroMQError)?.isUnroutable != true {
                logger.warning("a message was not sent: \(error)")
            }
            return false
        }
    }

    /// Ends the work that someone waits for; keeps the error when there is none.
    func finish(throwing error: any Error) {
        writePostMortem(of: error)
        if let continuation { continuation.resume(throwing: error) } else { pendingError = error }
        continuation = nil
    }

    /// Answers some of those who wait for chunks; then whatever else has arrived comes first again.
    func serve() {
        for _ in 0..<4 {
            guard let (request, connection) = serving.next() else { return }
            if !send(configuration.library.answer(request), to: connection) {
                serving.remove(connection)
                handle(.disconnected(connection))
            }
        }
    }
}
