internal import Foundation

/// Tells a damaged frame from a whole one. The last nine bytes of a frame are the field `checksum`: its tag, and 64
/// bits that follow from all bytes before.
///
/// No protection against who forges frames on purpose (that is encryption's work), but against everything that flips
/// bits: any change within one word of eight bytes is found for certain, any other with all but 2⁻⁶⁴ probability.
enum Checksum {
    enum Verdict { case right, wrong, missing }

    /// Field 15 as a fixed64.
    private static let tag: UInt8 = 15 << 3 | 1
    private static let size = 9

    static func append(to bytes: inout Data) {
        let sum = checksum(of: bytes, count: bytes.count)
        bytes.append(tag)
        withUnsafeBytes(of: sum.littleEndian) { bytes.append(contentsOf: $0) }
    }

    static func verdict(on bytes: Data) -> Verdict {
        let count = bytes.count - size
        guard count >= 0, bytes[bytes.startIndex + count] == tag else { return .missing }
        let stored = bytes.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: count + 1, as: UInt64.self))
        }
        return stored == checksum(of: bytes, count: count) ? .right : .wrong
    }

    /// Every step is a bijection of the sum so far, and of the word that it takes in.
    private static func checksum(of bytes: Data, count: Int) -> UInt64 {
        bytes.withUnsafeBytes { bytes in
            var sum = UInt64(count) &+ 0x9E37_79B9_7F4A_7C15
            func take(_ word: UInt64) {
                sum = (sum ^ word) &* 0xBF58_476D_1CE4_E5B9
                sum ^= sum >> 29
            }
            var offset = 0
            while offset + 8 <= count {
                take(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            var last: UInt64 = 0
            while offset < count {
                last = last << 8 | UInt64(bytes[offset])
                offset += 1
            }
            take(last)
            take(sum >> 32)
            return sum
        }
    }
}
