internal import Dispatch
internal import Glibc
internal import Work

/// What answers at an address, when connections to it end during the handshake.
///
/// libzmq says only that a connection broke. Whoever speaks ZMTP greets as soon as it is connected to (ZeroMQ RFC 23): a
/// peer that does, and then hangs up, did not like what it heard, and one that hangs up before is none, e.g. the near
/// end of a tunnel whose far end is not there. Who is greeted too tells how it secures connections.
enum GreetingProbe {
    /// What is there.
    enum Answer: Hashable, Sendable {
        /// Something that speaks ZMTP, and secures connections in this way.
        case greets(Mechanism)
        /// Something that says other things.
        case speaksOtherwise
        /// It takes connections, and says nothing.
        case saysNothing
        /// Nothing takes connections.
        case nothing
    }

    /// How a peer secures its connections.
    enum Mechanism: Sendable {
        /// With keys.
        case curve
        /// Not at all.
        case null
        /// It does not say, or in a way that nobody here has.
        case unknown
    }

    /// How long a greeting is waited for, milliseconds.
    private static let patience: Int32 = 2000

    /// Connects once, greets and looks. Addresses that are not `tcp://HOST:PORT` are taken to greet.
    ///
    /// - Parameter hasKeys: whether this side has keys: it says so, for a peer that has it otherwise to know why it fails.
    static func look(at endpoint: String, hasKeys: Bool) -> Answer {
        guard let parts = hostAndPort(of: endpoint) else { return .greets(.unknown) }
        guard let found = addresses(parts) else { return .nothing }
        defer { freeaddrinfo(found) }
        let address = found.pointee
        let descriptor = socket(
            address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .nothing }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Int(patience) / 1000, tv_usec: 0)
        // On Linux this bounds connecting too.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else { return .nothing }
        return greeting(on: descriptor, hasKeys: hasKeys)
    }

    /// Whether an address names a host that nobody knows; may take seconds.
    static func isUnknownHost(_ endpoint: String) -> Bool {
        guard let parts = hostAndPort(of: endpoint) else { return false }
        guard let found = addresses(parts) else { return true }
        freeaddrinfo(found)
        return false
    }

    /// Of `tcp://HOST:PORT`, and nothing else: libzmq takes `tcp://SOURCE;HOST:PORT` too.
    private static func hostAndPort(of endpoint: String) -> (host: String, port: String)? {
        guard endpoint.hasPrefix("tcp://"), !endpoint.contains(";"), let colon = endpoint.lastIndex(of: ":")
        else { return nil }
        let host = endpoint[..<colon].dropFirst("tcp://".count).filter { !"[]".contains($0) }
        return (String(host), String(endpoint[endpoint.index(after: colon)...]))
    }

    /// To be freed by the caller.
    private static func addresses(_ parts: (host: String, port: String)) -> UnsafeMutablePointer<addrinfo>? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        return getaddrinfo(parts.host, parts.port, &hints, &found) == 0 ? found : nil
    }

    /// A greeting: the signature, two bytes of version, twenty of the mechanism's name, and others.
    private static let (signature, length, mechanism) = (10, 64, 12..<32)

    /// This side's greeting, of version 3.1.
    private static func ownGreeting(hasKeys: Bool) -> [UInt8] {
        let start: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1]
        let named = start + (hasKeys ? "CURVE" : "NULL").utf8
        return named + [UInt8](repeating: 0, count: length - named.count)
    }

    /// Greets and reads the peer's greeting. Its signature has ten bytes, of which the first is 0xFF and the last has its lowest
    /// bit set.
    private static func greeting(on descriptor: Int32, hasKeys: Bool) -> Answer {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: length)
        let own = ownGreeting(hasKeys: hasKeys)
        func greet(_ part: ArraySlice<UInt8>) {
            _ = part.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            }
        }
        // A peer tells its mechanism to whoever has told a version, and hangs up as soon as it knows of another one.
        greet(own[..<mechanism.lowerBound])
        let deadline = DispatchTime.now() + .milliseconds(Int(patience))
        while bytes.count < length {
            let left = Int64(deadline.uptimeNanoseconds) - Int64(DispatchTime.now().uptimeNanoseconds)
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let isReadable = poll(&waiting, 1, Int32(max(0, left / 1_000_000)))
            if isReadable < 0 && errno == EINTR { continue }
            let count = isReadable > 0 ? recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) : 0
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        guard let first = bytes.first else { return .saysNothing }
        guard first == 0xFF, bytes.count >= signature, bytes[signature - 1] & 1 == 1 else {
            return .speaksOtherwise
        }
        greet(own[mechanism.lowerBound...])
        guard bytes.count >= mechanism.upperBound else { return .greets(.unknown) }
        return switch String(decoding: bytes[mechanism].prefix { $0 != 0 }, as: UTF8.self) {
        case "CURVE": .greets(.curve)
        case "NULL": .greets(.null)
        default: .greets(.unknown)
        }
    }
}
