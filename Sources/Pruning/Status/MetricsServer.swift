internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Report
internal import Synchronization

/// Serves a run's status over HTTP: `/metrics` for Prometheus, `/status` as JSON. Whoever reaches the address can read it.
///
/// It has a thread of its own, and nothing that a client sends takes more of it than a few kilobytes and seconds.
public final class MetricsServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let channel: any Channel
    /// Where it listens, `HOST:PORT`; with the port that it got where 0 was asked for.
    public let address: String

    /// Listens until `stop`.
    ///
    /// - Parameter address: `HOST:PORT`; the host is an IPv4 address, `localhost`, or `*` for all.
    /// - Throws: `InputError` for an address that cannot be listened on.
    public init(address: String, board: StatusBoard) async throws {
        let parts = address.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let port = UInt16(parts[1]) else {
            throw InputError("--metrics takes HOST:PORT, not '\(address)'")
        }
        let host = parts[0] == "localhost" ? "127.0.0.1" : parts[0] == "*" ? "0.0.0.0" : String(parts[0])
        guard let socket = try? SocketAddress(ipAddress: host, port: Int(port)), socket.protocol == .inet
        else {
            throw InputError("--metrics \(address): the host must be an IPv4 address, localhost or *")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = Connections()
        do {
            channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard connections.admit(channel) else { return }
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(RequestLimit())
                        try pipeline.configureHTTPServerPipeline()
                        try pipeline.addHandler(StatusHandler(board))
                    }
                }
                .bind(to: socket).get()
        } catch {
            try? await group.shutdownGracefully()
            let reason = MetricsServer.reason(error, host: host)
            throw InputError("--metrics \(address) cannot be listened on: \(reason)")
        }
        self.group = group
        self.address = "\(parts[0]):\(channel.localAddress?.port ?? Int(port))"
    }

    /// Why an address cannot be listened on, as a clause.
    private static func reason(_ error: any Error, host: String) -> String {
        guard let failure = error as? IOError else { return "\(error)" }
        return switch failure.errnoCode {
        case EADDRNOTAVAIL: "this machine has no address \(host)"
        case EADDRINUSE: "something listens there already"
        default: String(cString: strerror(failure.errnoCode))
        }
    }

    /// Stops listening.
    public func stop() {
        channel.close(promise: nil)
        group.shutdownGracefully { _ in }
    }
}

/// The connections of a server, which are few and short. Stays on the server's thread.
private final class Connections: Sendable {
    /// At once: more than any scraper and a few people need.
    private static let most = 32
    /// A request and its answer take no longer.
    private static let longest = TimeAmount.seconds(10)
    private let open = Mutex(0)

    /// Lets a connection in, for a while, or closes it at once.
    func admit(_ channel: any Channel) -> Bool {
        let isAdmitted = open.withLock { open in
            guard open < Connections.most else { return false }
            open += 1
            return true
        }
        guard isAdmitted else {
            channel.close(promise: nil)
            return false
        }
        let limit = channel.eventLoop.scheduleTask(in: Connections.longest) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in
            limit.cancel()
            self.open.withLock { $0 -= 1 }
        }
        return true
    }
}

/// Drops connections that send more than a request may have, before anything reads it.
private final class RequestLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let mostBytes = 16 << 10
    private var bytes = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        bytes += unwrapInboundIn(data).readableBytes
        guard bytes <= RequestLimit.mostBytes else {
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(data)
    }
}

/// Answers one request, and closes the connection.
private final class StatusHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let board: StatusBoard
    private var request: HTTPRequestHead?

    init(_ board: StatusBoard) { self.board = board }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): request = request ?? head
        case .body: break
        case .end:
            guard let request else { return }
            answer(request, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let path = request.uri.prefix { $0 != "?" }
        let (status, type, body): (HTTPResponseStatus, String, Data) =
            switch (request.method, path) {
            case (.GET, "/metrics"), (.HEAD, "/metrics"):
                (.ok, "text/plain; version=0.0.4; charset=utf-8", Data(board.status.prometheus.utf8))
            case (.GET, "/status"), (.HEAD, "/status"): (.ok, "application/json", board.json)
            case (.GET, _), (.HEAD, _):
                (.notFound, "text/plain; charset=utf-8", Data("There are /metrics and /status.\n".utf8))
            default: (.methodNotAllowed, "text/plain; charset=utf-8", Data())
            }
        let headers: HTTPHeaders = [
            "content-type": type, "content-length": "\(body.count)", "connection": "close",
        ]
        context.write(
            wrapOutboundOut(.head(.init(version: .http1_1, status: status, headers: headers))), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
