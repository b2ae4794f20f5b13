internal import COpenSSL
public import Datasets
internal import Glibc
public import Work

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
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ContentHashError(path: path, code: errno) }
        defer { close(descriptor) }
        let hasher = ContentHasher()
        try hasher.update(descriptor: descriptor, path: path)
        return hasher.finish()
    }

    /// The SHA-256 of an archive that is not written anywhere.
    public static func digest(of archive: ArchiveImage) -> [UInt8] {
        let hasher = ContentHasher()
        archive.forEachPiece { hasher.update($0) }
        return hasher.finish()
    }

    /// The SHA-256 of bytes in memory, with their number.
    public static func content(of bytes: [UInt8]) -> ContentID {
        let hasher = ContentHasher()
        hasher.update(bytes)
        return ContentID(sha256: hasher.finish(), size: bytes.count)
    }

    /// Two hexadecimal digits for every byte.
    public static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

/// A SHA-256 that is computed bit by bit, by OpenSSL: it uses the processor's own instructions where there are any, and
/// every process of a run takes in all of the data before it begins.
final class ContentHasher {
    private let state = EVP_MD_CTX_new()

    init() {
        let isReady = EVP_DigestInit_ex(state, EVP_sha256(), nil) == 1
        precondition(isReady, "OpenSSL has SHA-256, and memory for it")
    }

    deinit { EVP_MD_CTX_free(state) }

    func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(state, bytes.baseAddress, bytes.count) }

    func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

    /// Takes in what a file holds from its beginning on.
    func update(descriptor: Int32, path: String) throws(ContentHashError) {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset = 0
        while true {
            let count = pread(descriptor, &buffer, buffer.count, offset)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw ContentHashError(path: path, code: errno) }
            if count == 0 { return }
            EVP_DigestUpdate(state, buffer, count)
            offset += count
        }
    }

    /// The digest of all that was taken in, 32 bytes. Nothing can be taken in afterwards.
    func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(EVP_MD_get_size(EVP_sha256())))
        EVP_DigestFinal_ex(state, &digest, nil)
        return digest
    }
}

/// A file whose hash could not be taken.
public struct ContentHashError: Error, Sendable, CustomStringConvertible {
    let path: String
    let code: Int32
    /// The error as a sentence.
    public var description: String { "cannot read \(path): \(SystemError.message(code))" }
}
