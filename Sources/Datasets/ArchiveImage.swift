/// An uncompressed `.npz` archive that is not written anywhere: its bytes, piece by piece, most of them still in the
/// arrays that it is made of.
///
/// ```swift
/// let image = try dataset.archive(of: sharding.shardRange(3))
/// let start = image.bytes(at: 0, count: 4096)
/// ```
public struct ArchiveImage: Sendable {
    /// Number of bytes.
    public let count: Int
    private let pieces: [ArraySlice<UInt8>]
    /// Where each piece begins.
    private let starts: [Int]

    init(_ pieces: [ArraySlice<UInt8>]) {
        self.pieces = pieces.filter { !$0.isEmpty }
        var starts: [Int] = []
        var end = 0
        for piece in self.pieces {
            starts.append(end)
            end += piece.count
        }
        self.starts = starts
        count = end
    }

    /// The bytes from `offset` on, `count` of them or as many as there are.
    public func bytes(at offset: Int, count wanted: Int) -> [UInt8] {
        let range = min(max(0, offset), count)..<min(max(0, offset) + min(max(0, wanted), count), count)
        var bytes: [UInt8] = []
        guard !range.isEmpty else { return bytes }
        bytes.reserveCapacity(range.count)
        var index = (starts.firstIndex { $0 > range.lowerBound } ?? starts.count) - 1
        while index < pieces.count, starts[index] < range.upperBound {
            let piece = pieces[index]
            let from = max(range.lowerBound - starts[index], 0)
            let to = min(range.upperBound - starts[index], piece.count)
            bytes += piece[piece.startIndex + from..<piece.startIndex + to]
            index += 1
        }
        return bytes
    }

    /// Calls `body` with all bytes, front to back.
    public func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        for piece in pieces { try piece.withUnsafeBytes(body) }
    }
}

extension Dataset {
    /// Consecutive samples as an archive that `Dataset(contentsOf:inputs:)` reads: what a worker needs of a shard.
    ///
    /// The same samples give the same bytes. Weights stay out: sums are the coordinator's.
    ///
    /// - Throws: `sampleCount` unless the range is non-empty and lies within the samples.
    public func archive(of range: Range<Int>) throws(DatasetError) -> ArchiveImage {
        guard !range.isEmpty, range.lowerBound >= 0, range.upperBound <= samples else {
            throw DatasetError(.sampleCount, "samples \(range) are not within 0..<\(samples)")
        }
        let rows = namesInOrder.filter { $0 != Self.weightsName || inputNames.contains($0) }.compactMap {
            name in
            arrays[name].map { entry(name, $0, range) }
        }
        return ArchiveImage(try NumpyArchive.pieces(of: rows, wideFrom: 0xFFFF_FFFF))
    }

    /// Samples of an array, in the model's layout.
    private func entry(_ name: String, _ array: NumpyArray, _ range: Range<Int>) -> ArchiveEntry {
        let axis = inputAxes[name] ?? 0
        if axis != 0 {
            let part = axis < 0 ? array : array.slice(rows: range).movingFirst(to: axis)
            return ArchiveEntry(
                name: name, shape: part.shape, elementType: part.elementType, bytes: part.bytes[...])
        }
        let width = array.rowByteCount
        return ArchiveEntry(
            name: name, shape: [range.count] + array.shape.dropFirst(), elementType: array.elementType,
            bytes: array.bytes[range.lowerBound * width..<range.upperBound * width])
    }

    /// Bytes of all arrays.
    public var byteCount: Int { arrays.values.reduce(0) { $0 + $1.bytes.count } }
}
