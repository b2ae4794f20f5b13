internal import Dispatch
internal import Glibc
internal import Work

/// What answers at an address, when connections to it end during the handshake.
///
/// libzmq says only that a connection broke. Whoever speaks ZMTP greets as soon as it is connected to (ZeroMQ RFC 23): a
/// peer that does, and then hangs up, did not like what it heard, and one that hangs up before is none, e.g. the near
/// end of a tunnel whose far end is not there.
enum GreetingProbe {
    /// What is there.
    enum Answer: Sendable {
        /// Something that speaks ZMTP.
        case greets
        /// Something that says other things.
        case speaksOtherwise
        /// It takes connections, and says nothing.
        case saysNothing
        /// Nothing takes connections.
        case nothing
    }

    /// How long a greeting is waited for, milliseconds.
    private static let patience: Int32 = 2000

    /// Connects once and looks. Addresses that are not `tcp://HOST:PORT` are taken to greet.
    static func look(at endpoint: String) -> Answer {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return .greets }
        let host = endpoint[..<colon].dropFirst("tcp://".count).filter { !"[]".contains($0) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let port = String(endpoint[endpoint.index(after: colon)...])
        guard getaddrinfo(String(host), port, &hints, &found) == 0, let address = found?.pointee else {
            return .nothing
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(address.ai_family, hints.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .nothing }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Int(patience) / 1000, tv_usec: 0)
        // On Linux this bounds connecting too.
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 else { return .nothing }
        return greeting(on: descriptor)
    }

    /// The signature of ZMTP: ten bytes, of which the first is 0xFF and the last has its lowest bit set.
    private static func greeting(on descriptor: Int32) -> Answer {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64)
        let deadline = DispatchTime.now() + .milliseconds(Int(patience))
        while bytes.count < 10 {
            let left = Int64(deadline.uptimeNanoseconds) - Int64(DispatchTime.now().uptimeNanoseconds)
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let isReadable = poll(&waiting, 1, Int32(max(0, left / 1_000_000)))
            if isReadable < 0 && errno == EINTR { continue }
            let count = isReadable > 0 ? recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT)) : 0
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        guard let first = bytes.first else { return .saysNothing }
        return first == 0xFF && bytes.count >= 10 && bytes[9] & 1 == 1 ? .greets : .speaksOtherwise
    }
}
