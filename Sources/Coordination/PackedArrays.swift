internal import Foundation

/// Arrays of numbers as little-endian bytes. Little-endian machines only need a copy; on others the bytes are turned.
enum PackedArray {
    static func encode(_ numbers: [UInt32]) -> Data {
        #if _endian(little)
            return numbers.withUnsafeBytes { Data($0) }
        #else
            return numbers.map(\.littleEndian).withUnsafeBytes { Data($0) }
        #endif
    }

    /// - Precondition: the number of bytes is a multiple of 4.
    static func decode(_ data: Data) -> [UInt32] {
        precondition(data.count % 4 == 0, "\(data.count) bytes are no array of 32-bit numbers")
        let numbers = [UInt32](unsafeUninitializedCapacity: data.count / 4) { buffer, count in
            copy(data, to: buffer)
            count = data.count / 4
        }
        #if _endian(little)
            return numbers
        #else
            return numbers.map(UInt32.init(littleEndian:))
        #endif
    }

    /// `Data.copyBytes` is generic, and takes longer for a few numbers than the rest of a message.
    private static func copy<Number>(_ data: Data, to buffer: UnsafeMutableBufferPointer<Number>) {
        data.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
    }
}
