internal import CSodium
public import Datasets
internal import Glibc

/// Names contents by what they hold: SHA-256.
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
        var hasher = ContentHasher()
        try hasher.update(descriptor: descriptor, path: path)
        return hasher.finish()
    }

    /// The SHA-256 of an archive that is not written anywhere.
    public static func digest(of archive: ArchiveImage) -> [UInt8] {
        var hasher = ContentHasher()
        archive.forEachPiece { hasher.update($0) }
        return hasher.finish()
    }

    /// Two hexadecimal digits for every byte.
    public static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

/// A SHA-256 that is computed bit by bit.
struct ContentHasher {
    private var state = crypto_hash_sha256_state()

    init() { crypto_hash_sha256_init(&state) }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        crypto_hash_sha256_update(
            &state, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
    }

    mutating func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// Takes in what a file holds from its beginning on.
    mutating func update(descriptor: Int32, path: String) throws(ContentHashError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset = 0
        while true {
            let count = pread(descriptor, &buffer, buffer.count, offset)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw ContentHashError(path: path, code: errno) }
            if count == 0 { return }
            crypto_hash_sha256_update(&state, buffer, UInt64(count))
            offset += count
        }
    }

    mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256_final(&state, &digest)
        return digest
    }
}

/// A file whose hash could not be taken.
public struct ContentHashError: Error, Sendable, CustomStringConvertible {
    let path: String
    let code: Int32
    /// The error as a sentence.
    public var description: String { "cannot read \(path): \(String(cString: strerror(code)))" }
}
