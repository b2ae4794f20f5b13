internal import CZeroMQ
internal import Glibc

/// A public key for CURVE encryption (CurveZMQ, ZeroMQ RFC 26): 32 bytes, or 40 characters of Z85.
public struct CurvePublicKey: Hashable, Sendable, CustomStringConvertible {
    /// The 32 bytes.
    public let bytes: [UInt8]

    /// A key from its 32 bytes.
    ///
    /// - Throws: `ZeroMQError` if there are not 32.
    public init(bytes: [UInt8]) throws(ZeroMQError) {
        self.bytes = try checkedKey(bytes, "read a public key")
    }

    /// A key from its 40 characters.
    ///
    /// - Throws: `ZeroMQError` if they are not 40 characters of Z85.
    public init(z85 text: String) throws(ZeroMQError) {
        bytes = try checkedKey(Z85.decode(text), "read a public key")
    }

    /// The 40 characters.
    public var z85: String { Z85.encodeKey(bytes) }

    /// The 40 characters.
    public var description: String { z85 }
}

/// A secret key for CURVE encryption. Printing it does not show it.
public struct CurveSecretKey: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    /// The 32 bytes.
    public let bytes: [UInt8]

    /// A key from its 32 bytes.
    ///
    /// - Throws: `ZeroMQError` if there are not 32.
    public init(bytes: [UInt8]) throws(ZeroMQError) {
        self.bytes = try checkedKey(bytes, "read a secret key")
    }

    /// A key from its 40 characters.
    ///
    /// - Throws: `ZeroMQError` if they are not 40 characters of Z85; it does not repeat them.
    public init(z85 text: String) throws(ZeroMQError) {
        bytes = try checkedKey(Z85.decode(text), "read a secret key")
    }

    /// The 40 characters, to be kept in a file that only its owner can read.
    public var z85: String { Z85.encodeKey(bytes) }

    /// The public key that belongs to this secret one.
    ///
    /// - Throws: `ZeroMQError` (`ENOTSUP`) if libzmq was built without encryption.
    public func publicKey() throws(ZeroMQError) -> CurvePublicKey {
        var text = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&text, z85) == 0 else { throw .last("derive a public key") }
        return try CurvePublicKey(z85: keyText(text))
    }

    /// Words that do not give the key away.
    public var description: String { "a secret key" }

    /// Shows nothing, in a debugger's or `dump`'s output either.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A secret key and the public key that belongs to it.
public struct CurveKeyPair: Hashable, Sendable {
    /// What others may know.
    public let publicKey: CurvePublicKey
    /// What nobody else may know.
    public let secretKey: CurveSecretKey

    /// The pair of a secret key.
    ///
    /// - Throws: `ZeroMQError` (`ENOTSUP`) if libzmq was built without encryption.
    public init(secretKey: CurveSecretKey) throws(ZeroMQError) {
        self.secretKey = secretKey
        publicKey = try secretKey.publicKey()
    }

    private init(publicKey: CurvePublicKey, secretKey: CurveSecretKey) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// A new random pair.
    ///
    /// - Throws: `ZeroMQError` (`ENOTSUP`) if libzmq was built without encryption.
    public static func generate() throws(ZeroMQError) -> CurveKeyPair {
        var (publicText, secretText) = ([CChar](repeating: 0, count: 41), [CChar](repeating: 0, count: 41))
        guard zmq_curve_keypair(&publicText, &secretText) == 0 else { throw .last("make a pair of keys") }
        return try CurveKeyPair(
            publicKey: CurvePublicKey(z85: keyText(publicText)),
            secretKey: CurveSecretKey(z85: keyText(secretText)))
    }
}

/// Text from a buffer that libzmq filled and ended with a zero.
private func keyText(_ buffer: [CChar]) -> String {
    String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func checkedKey(_ bytes: [UInt8], _ action: String) throws(ZeroMQError) -> [UInt8] {
    guard bytes.count == 32 else {
        throw ZeroMQError(
            EINVAL, action, reason: "a key has 32 bytes, or 40 characters of Z85, not \(bytes.count) bytes")
    }
    return bytes
}
