/// Something that is known by what it holds: a model file, a shard, a table of means.
public struct ContentID: Hashable, Sendable, CustomStringConvertible {
    /// SHA-256 of its bytes, 32 bytes.
    public let sha256: [UInt8]
    /// The number of its bytes.
    public let size: Int

    /// The content of this hash and size.
    public init(sha256: [UInt8], size: Int) {
        self.sha256 = sha256
        self.size = size
    }

    /// The hash in hexadecimal digits.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef")
        return String(sha256.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// As logs name it.
    public var description: String { "content \(hexadecimal.prefix(12)) (\(size) bytes)" }
}
