internal import FlyingFox
internal import FlyingSocks
internal import Foundation
internal import Report

/// Serves a run's status over HTTP: `/metrics` for Prometheus, `/status` as JSON. Whoever reaches the address can read it.
public final class MetricsServer: Sendable {
    private let task: Task<Void, Never>

    /// Listens until `stop`.
    ///
    /// - Parameter address: `HOST:PORT`; the host is an IPv4 address, or `localhost`.
    /// - Throws: `InputError` for an address that cannot be listened on.
    public init(address: String, board: StatusBoard) async throws {
        let parts = address.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]) else {
            throw InputError("--metrics takes HOST:PORT, not '\(address)'")
        }
        let host = parts[0] == "localhost" ? "127.0.0.1" : parts[0] == "*" ? "0.0.0.0" : String(parts[0])
        let server: HTTPServer
        do {
            server = try HTTPServer(address: .inet(ip4: host, port: port), timeout: 15, logger: .disabled)
        } catch {
            throw InputError("--metrics \(address): the host must be an IPv4 address, localhost or *")
        }
        await server.appendRoute("GET /metrics") { _ in
            HTTPResponse(
                statusCode: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: Data(board.status.prometheus.utf8))
        }
        await server.appendRoute("GET /status") { _ in
            HTTPResponse(statusCode: .ok, headers: [.contentType: "application/json"], body: board.json)
        }
        let failure = FirstFailure()
        task = Task { do { try await server.run() } catch { await failure.keep(error) } }
        do { try await server.waitUntilListening(timeout: 5) } catch {
            task.cancel()
            let reason = MetricsServer.reason(await failure.error ?? error, host: host)
            throw InputError("--metrics \(address) cannot be listened on: \(reason)")
        }
    }

    /// Why an address cannot be listened on, as a clause.
    private static func reason(_ error: any Error, host: String) -> String {
        guard case SocketError.failed(_, let code, let message) = error else { return "\(error)" }
        return switch code {
        case EADDRNOTAVAIL: "this machine has no address \(host)"
        case EADDRINUSE: "something listens there already"
        default: message
        }
    }

    /// Stops listening.
    public func stop() { task.cancel() }

    deinit { task.cancel() }
}

/// Why a server stopped.
private actor FirstFailure {
    private(set) var error: (any Error)?

    func keep(_ error: any Error) { self.error = self.error ?? error }
}
