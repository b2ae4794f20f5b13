internal import CZeroMQ
public import Foundation

/// One part of a message: immutable bytes.
///
/// A received frame keeps libzmq's own buffer, without a copy, as long as it lives.
public struct Frame: Sendable {
    private enum Storage {
        case bytes([UInt8])
        case data(Data)
        case message(ReceivedMessage)
    }

    private let storage: Storage

    /// A frame of these bytes.
    public init(_ bytes: [UInt8]) { storage = .bytes(bytes) }

    /// A frame of these bytes.
    public init(_ data: Data) { storage = .data(data) }

    /// A frame of a text's UTF-8 bytes.
    public init(_ text: String) { storage = .bytes(Array(text.utf8)) }

    init(_ message: ReceivedMessage) { storage = .message(message) }

    /// Number of bytes.
    public var count: Int {
        switch storage {
        case .bytes(let bytes): bytes.count
        case .data(let data): data.count
        case .message(let message): message.bytes.count
        }
    }

    /// Calls `body` with the bytes, which are valid only during the call.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        switch storage {
        case .bytes(let bytes): try bytes.withUnsafeBytes(body)
        case .data(let data): try data.withUnsafeBytes(body)
        case .message(let message): try withExtendedLifetime(message) { try body(message.bytes) }
        }
    }

    /// The bytes as an array (copied if they were received).
    public var bytes: [UInt8] {
        if case .bytes(let bytes) = storage { return bytes }
        return withUnsafeBytes { Array($0) }
    }

    /// The bytes as `Data`: the caller's own, which may be changed. Those of a received message are copied, for Foundation
    /// changes foreign memory in place.
    public var data: Data {
        if case .data(let data) = storage { return data }
        return withUnsafeBytes { Data($0) }
    }
}

extension Frame: Hashable {
    /// Frames are equal if their bytes are.
    public static func == (first: Frame, second: Frame) -> Bool {
        first.count == second.count
            && first.withUnsafeBytes { one in second.withUnsafeBytes { other in one.elementsEqual(other) } }
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

/// A message that libzmq filled.
///
/// Its pointers may cross threads: after `init` everyone only reads, and `deinit`, which no other thread can be using,
/// closes it. Nothing may share the message by `zmq_msg_copy`, which writes to the one that it copies.
final class ReceivedMessage: Sendable {
    /// On the heap, because small messages keep their bytes within the structure itself.
    nonisolated(unsafe) private let pointer: UnsafeMutablePointer<zmq_msg_t>
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    /// Receives the next part of a message into a new buffer.
    ///
    /// - Parameter code: Set to libzmq's error number if nothing was received.
    init?(from socket: UnsafeMutableRawPointer, flags: Int32, code: inout Int32) {
        pointer = .allocate(capacity: 1)
        zmq_msg_init(pointer)
        guard zmq_msg_recv(pointer, socket, flags) >= 0 else {
            code = zmq_errno()
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return nil
        }
        bytes = UnsafeRawBufferPointer(start: zmq_msg_data(pointer), count: zmq_msg_size(pointer))
    }

    deinit {
        zmq_msg_close(pointer)
        pointer.deallocate()
    }

    /// True if more parts of the same message follow.
    var hasMore: Bool { zmq_msg_more(pointer) != 0 }
}
