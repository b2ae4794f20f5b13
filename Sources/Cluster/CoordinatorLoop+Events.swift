internal import Coordination
internal import Logging
internal import ZeroMQ

/// Tells the state machine what comes from the network; keeps an eye on who may come.
extension CoordinatorLoop {
    func receiveAll() {
        for listener in listeners { receiveAll(from: listener) }
    }

    private func receiveAll(from listener: CoordinatorListener) {
        // Bounded, so that a flood cannot keep the thread from everything else.
        for _ in 0..<10_000 {
            do throws(ZeroMQError) {
                guard let (connection, frames) = try listener.receive() else { return }
                guard frames.count == 1 else {
                    handle(.malformed(.malformed, from: connection))
                    continue
                }
                do throws(WireError) {
                    handle(.received(try wire.decodeWorkerMessage(frames[0].data), from: connection))
                } catch {
                    logger.warning("connection \(connection): \(error)")
                    handle(.malformed(error, from: connection))
                }
            } catch {
                logger.warning("\(error)")
                if error.isContextTerminated { return }
            }
        }
    }

    func watchHandshakes() throws {
        for listener in listeners { try listener.watchHandshakes { warn($0) } }
    }

    /// Lets in workers whose keys were added, and no more those whose keys were taken away.
    func readKeys() {
        guard let folder = configuration.keys?.folder, clock.real >= nextKeyReading else { return }
        nextKeyReading = clock.real + .seconds(2)
        do throws(ClusterError) { listeners[0].replaceAllowed(by: try KeyFiles.publicKeys(in: folder)) } catch
        {
            warn("\(error)")
        }
    }

    private func warn(_ text: String) {
        if warnings.isDue(text, at: clock.real) { logger.warning("\(text)") }
    }
}
