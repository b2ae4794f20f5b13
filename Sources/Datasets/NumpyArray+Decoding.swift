extension NumpyArray {
    /// Brings an array's stored bytes into C order and little-endian.
    ///
    /// - Parameters:
    ///   - bytes: The elements as stored.
    ///   - shape: The array's shape, perhaps with fewer rows than the header says.
    ///   - header: Says how the bytes are laid out.
    init(decoding bytes: [UInt8], shape: [Int], header: NumpyHeader) {
        var bytes = bytes
        let width = header.elementType.byteWidth
        if header.isBigEndian { Self.reverseElements(of: &bytes, width: width) }
        if header.isFortranOrder, shape.count > 1 {
            bytes =
                switch width {
                case 1: Self.transposed(bytes, shape: shape, as: UInt8.self)
                case 2: Self.transposed(bytes, shape: shape, as: UInt16.self)
                case 4: Self.transposed(bytes, shape: shape, as: UInt32.self)
                default: Self.transposed(bytes, shape: shape, as: UInt64.self)
                }
        }
        self.init(unchecked: shape, header.elementType, bytes)
    }

    private static func reverseElements(of bytes: inout [UInt8], width: Int) {
        bytes.withUnsafeMutableBufferPointer { buffer in
            for start in stride(from: 0, to: buffer.count, by: width) {
                for offset in 0..<width / 2 {
                    buffer.swapAt(start + offset, start + width - 1 - offset)
                }
            }
        }
    }

    /// Reorders elements from "first dimension fastest" to "last dimension fastest".
    private static func transposed<Word: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: [UInt8], shape: [Int], as type: Word.Type
    ) -> [UInt8] {
        guard !bytes.isEmpty else { return bytes }
        let width = MemoryLayout<Word>.size
        var strides = [1]
        for length in shape.dropLast() { strides.append(strides[strides.count - 1] * length) }
        let (innerLength, innerStride) = (shape[shape.count - 1], strides[shape.count - 1])
        var index = [Int](repeating: 0, count: shape.count)
        return [UInt8](unsafeUninitializedCapacity: bytes.count) { output, initialized in
            let target = UnsafeMutableRawBufferPointer(output)
            bytes.withUnsafeBytes { source in
                var written = 0
                var start = 0
                while written < bytes.count {
                    for position in 0..<innerLength {
                        let word = source.loadUnaligned(
                            fromByteOffset: (start + position * innerStride) * width, as: Word.self)
                        target.storeBytes(of: word, toByteOffset: written, as: Word.self)
                        written += width
                    }
                    // Step the outer indices, the last of them fastest.
                    for dimension in (0..<shape.count - 1).reversed() {
                        index[dimension] += 1
                        start += strides[dimension]
                        if index[dimension] < shape[dimension] { break }
                        start -= index[dimension] * strides[dimension]
                        index[dimension] = 0
                    }
                }
            }
            initialized = bytes.count
        }
    }
}
