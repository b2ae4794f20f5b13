internal import CZeroMQ
internal import Glibc

/// A failed call of libzmq, as a sentence: what was being done, and why it did not work.
public struct ZeroMQError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The error number: one of the system's, or one of libzmq's own.
    public let code: Int32
    /// What was being done, to follow "could not": `bind to tcp://*:5555`.
    public let action: String
    /// The reason in words; libzmq's own unless it says too little.
    public let reason: String

    /// Makes an error with libzmq's words for `code`.
    init(_ code: Int32, _ action: String) {
        let words = String(cString: zmq_strerror(code))
        self.init(code, action, reason: words.prefix(1).lowercased() + words.dropFirst())
    }

    init(_ code: Int32, _ action: String, reason: String) {
        self.code = code
        self.action = action
        self.reason = reason
    }

    /// The error that the last call of libzmq on this thread left.
    static func last(_ action: String) -> ZeroMQError { ZeroMQError(zmq_errno(), action) }

    /// The whole sentence.
    public var description: String { "could not \(action): \(reason)" + (code == EAGAIN ? "" : " (\(name))") }

    /// The error number's name: `EADDRINUSE`.
    public var name: String { Self.names[code] ?? "error \(code)" }

    /// The context was shut down: the time to close sockets and end the thread.
    public var isContextTerminated: Bool { code == ETERM }

    /// A ROUTER socket knows no peer of that routing id.
    public var isUnroutable: Bool { code == EHOSTUNREACH }

    /// Another socket has the address.
    public var isAddressInUse: Bool { code == EADDRINUSE }

    private static let names: [Int32: String] = [
        EACCES: "EACCES", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL", EAGAIN: "EAGAIN",
        ECONNREFUSED: "ECONNREFUSED", EFAULT: "EFAULT", EHOSTUNREACH: "EHOSTUNREACH", EINTR: "EINTR",
        EINVAL: "EINVAL", EMFILE: "EMFILE", EMSGSIZE: "EMSGSIZE", ENAMETOOLONG: "ENAMETOOLONG",
        ENODEV: "ENODEV", ENOENT: "ENOENT", ENOMEM: "ENOMEM", ENOTSOCK: "ENOTSOCK", ENOTSUP: "ENOTSUP",
        EPROTONOSUPPORT: "EPROTONOSUPPORT", EFSM: "EFSM", ENOCOMPATPROTO: "ENOCOMPATPROTO",
        ETERM: "ETERM", EMTHREAD: "EMTHREAD",
    ]
}
