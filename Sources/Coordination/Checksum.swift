internal import CSodium
internal import Foundation

/// Tells a damaged frame from a whole one. The last nine bytes of a frame are the field `checksum`: its tag, and SipHash-2-4
/// (Aumasson and Bernstein, SipHash: a fast short-input PRF, 2012) of all bytes before.
///
/// No protection against who forges frames on purpose, for the key is known (that is encryption's work), but against
/// everything that flips bits: damage of any pattern is found with all but 2⁻⁶⁴ probability.
enum Checksum {
    enum Verdict { case right, wrong, missing }

    /// Field 15 as a fixed64.
    private static let tag: UInt8 = 15 << 3 | 1
    private static let size = 1 + MemoryLayout<UInt64>.size
    private static let key = [UInt8]("espalier's frame".utf8)

    static func append(to bytes: inout Data) {
        let sum = checksum(of: bytes, count: bytes.count)
        bytes.append(tag)
        withUnsafeBytes(of: sum) { bytes.append($0.bindMemory(to: UInt8.self)) }
    }

    static func verdict(on bytes: Data) -> Verdict {
        let count = bytes.count - size
        guard count >= 0, bytes[bytes.startIndex + count] == tag else { return .missing }
        let sent = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: count + 1, as: UInt64.self) }
        return sent == checksum(of: bytes, count: count) ? .right : .wrong
    }

    /// The eight bytes of the hash, as they are in memory.
    private static func checksum(of bytes: Data, count: Int) -> UInt64 {
        var sum: UInt64 = 0
        withUnsafeMutablePointer(to: &sum) { sum in
            sum.withMemoryRebound(to: UInt8.self, capacity: MemoryLayout<UInt64>.size) { sum in
                _ = bytes.withUnsafeBytes {
                    crypto_shorthash(
                        sum, $0.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(count), key)
                }
            }
        }
        return sum
    }
}
