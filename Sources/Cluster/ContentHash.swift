internal import CSodium
internal import Glibc

/// Names files by what they hold.
public enum ContentHash {
    /// The SHA-256 of a file's bytes, in hexadecimal.
    ///
    /// - Throws: `ContentHashError` when the file cannot be read.
    public static func ofFile(_ path: String) throws(ContentHashError) -> String {
        hexadecimal(try digest(ofFile: path))
    }

    /// The SHA-256 of a file's bytes, 32 bytes.
    ///
    /// - Throws: `ContentHashError` when the file cannot be read.
    public static func digest(ofFile path: String) throws(ContentHashError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ContentHashError(path: path, code: errno) }
        defer { close(descriptor) }
        var state = crypto_hash_sha256_state()
        crypto_hash_sha256_init(&state)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw ContentHashError(path: path, code: errno) }
            if count == 0 { break }
            crypto_hash_sha256_update(&state, buffer, UInt64(count))
        }
        var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256_final(&state, &digest)
        return digest
    }

    /// Two hexadecimal digits for every byte.
    public static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

/// A file whose hash could not be taken.
public struct ContentHashError: Error, Sendable, CustomStringConvertible {
    let path: String
    let code: Int32
    /// The error as a sentence.
    public var description: String { "cannot read \(path): \(String(cString: strerror(code)))" }
}
