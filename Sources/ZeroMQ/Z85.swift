internal import CZeroMQ
internal import Glibc

/// Z85 (ZeroMQ RFC 32): 4 bytes as 5 printable characters.
public enum Z85 {
    /// The text for some bytes.
    ///
    /// - Throws: `ZeroMQError` unless the number of bytes is a multiple of 4.
    public static func encode(_ bytes: [UInt8]) throws(ZeroMQError) -> String {
        guard bytes.count % 4 == 0 else {
            throw ZeroMQError(
                EINVAL, "write \(bytes.count) bytes as Z85", reason: "their number must be a multiple of 4")
        }
        return encodeWhole(bytes)
    }

    /// The bytes for a text.
    ///
    /// - Throws: `ZeroMQError` for characters that are not Z85's, groups that no 4 bytes give, and lengths that
    ///   are no multiple of 5. The text may be secret, so the error does not repeat it.
    public static func decode(_ text: String) throws(ZeroMQError) -> [UInt8] {
        let action = "read a text of \(text.utf8.count) bytes as Z85"
        guard text.utf8.count % 5 == 0, !text.utf8.contains(0) else {
            throw ZeroMQError(EINVAL, action, reason: "its length must be a multiple of 5 characters")
        }
        if text.isEmpty { return [] }
        var bytes = [UInt8](repeating: 0, count: text.utf8.count / 5 * 4)
        guard zmq_z85_decode(&bytes, text) != nil else {
            throw ZeroMQError(EINVAL, action, reason: "it has characters that Z85 does not use")
        }
        return bytes
    }

    /// The text of a key, whose length is known to be right.
    static func encodeKey(_ bytes: [UInt8]) -> String { encodeWhole(bytes) }

    private static func encodeWhole(_ bytes: [UInt8]) -> String {
        if bytes.isEmpty { return "" }
        var text = [CChar](repeating: 0, count: bytes.count / 4 * 5 + 1)
        guard zmq_z85_encode(&text, bytes, bytes.count) != nil else { return "" }
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
