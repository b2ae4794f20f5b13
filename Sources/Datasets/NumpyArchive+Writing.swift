import CZlib
import Files
import Foundation

extension NumpyArchive {
    /// Writes an uncompressed `.npz` archive that NumPy reads, byte for byte the same for the same arrays.
    ///
    /// The file appears complete or not at all: it is written under another name and then renamed.
    ///
    /// - Throws: `unwritableFile`; `invalidSetting` if two arrays have one name.
    public static func write(_ arrays: [(String, NumpyArray)], to path: String) throws(DatasetError) {
        try locating(file: path) { () throws(DatasetError) in
            try write(pieces(of: arrays, wideFrom: 0xFFFF_FFFF), to: path)
        }
    }

    /// Writes `pieces` one after the other.
    static func write(_ pieces: [ArraySlice<UInt8>], to path: String) throws(DatasetError) {
        do throws(FileError) {
            let file = try AtomicFile(path)
            for piece in pieces { try file.write(piece) }
            try file.commit()
        } catch {
            throw DatasetError(.unwritableFile, "it cannot be written: \(error.reason)", file: path)
        }
    }

    /// The bytes of the archive that `write` would write.
    ///
    /// - Throws: `invalidSetting` if two arrays have one name.
    public static func encode(_ arrays: [(String, NumpyArray)]) throws(DatasetError) -> [UInt8] {
        let pieces = try pieces(of: arrays, wideFrom: 0xFFFF_FFFF)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
        for piece in pieces { bytes += piece }
        return bytes
    }

    /// An archive as a list of byte strings, the arrays' own among them without a copy.
    ///
    /// - Parameter limit: Sizes and offsets from here on are written as zip64.
    static func pieces(
        of arrays: [(String, NumpyArray)], wideFrom limit: Int
    ) throws(DatasetError) -> [ArraySlice<UInt8>] {
        try pieces(
            of: arrays.map {
                ArchiveEntry(name: $0, shape: $1.shape, elementType: $1.elementType, bytes: $1.bytes[...])
            }, wideFrom: limit)
    }

    /// An archive as a list of byte strings.
    static func pieces(
        of entries: [ArchiveEntry], wideFrom limit: Int
    ) throws(DatasetError) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var directory: [UInt8] = []
        var offset = 0
        var seen: Set<String> = []
        for array in entries {
            let name = array.name
            guard seen.insert(name).inserted, !name.isEmpty, name.utf8.count < 0xFFFF - 4 else {
                throw DatasetError(
                    .invalidSetting, "two arrays have this name, or it is empty or too long", array: name)
            }
            let entry = ZipRecord(name: name + ".npy", array: array, offset: offset, wideFrom: limit)
            directory += entry.directoryEntry
            for piece in [entry.localHeader[...], entry.header[...], array.bytes] {
                pieces.append(piece)
                offset += piece.count
            }
        }
        pieces.append(directory[...])
        pieces.append(
            ZipRecord.end(entries: entries.count, offset: offset, length: directory.count, wideFrom: limit)[
                ...])
        return pieces
    }
}

/// An array to be stored, whose bytes may be part of a larger one's.
struct ArchiveEntry {
    let name: String
    let shape: [Int]
    let elementType: NumpyElementType
    /// In C order, as many as shape and element type need.
    let bytes: ArraySlice<UInt8>
}

/// The records that describe one stored array in a zip archive.
private struct ZipRecord {
    let header: [UInt8]
    private let name: [UInt8]
    private let size: Int
    private let checksum: UInt32
    private let offset: Int
    private let limit: Int

    init(name: String, array: ArchiveEntry, offset: Int, wideFrom limit: Int) {
        self.name = Array(name.utf8)
        self.offset = offset
        self.limit = limit
        header = NumpyHeader(elementType: array.elementType, shape: array.shape).encoded
        size = header.count + array.bytes.count
        let start = crc32_z(0, header, header.count)
        // zlib takes an empty array's null pointer as "start anew".
        checksum = UInt32(
            array.bytes.isEmpty
                ? start
                : array.bytes.withUnsafeBufferPointer { crc32_z(start, $0.baseAddress, $0.count) })
    }

    private var isWide: Bool { size >= limit }

    var localHeader: [UInt8] {
        let extra = isWide ? Self.extra([size, size]) : []
        return little(0x0403_4B50, 4) + common + little(name.count, 2) + little(extra.count, 2) + name + extra
    }

    var directoryEntry: [UInt8] {
        let extra = Self.extra((isWide ? [size, size] : []) + (offset >= limit ? [offset] : []))
        let madeBy = 3 << 8 | 45
        let permissions = 0o100644 << 16
        return little(0x0201_4B50, 4) + little(madeBy, 2) + common + little(name.count, 2)
            + little(extra.count, 2) + little(0, 6) + little(permissions, 4)
            + little(offset >= limit ? 0xFFFF_FFFF : offset, 4) + name + extra
    }

    /// The fields that local header and directory entry share: version … uncompressed size.
    private var common: [UInt8] {
        let utf8Name = 1 << 11
        // Midnight of 1 January 1980: archives differ only if their arrays do.
        let date = 1 << 5 | 1
        let shown = isWide ? 0xFFFF_FFFF : size
        return little(isWide || offset >= limit ? 45 : 20, 2) + little(utf8Name, 2) + little(0, 4)
            + little(date, 2) + little(Int(checksum), 4) + little(shown, 4) + little(shown, 4)
    }

    static func end(entries: Int, offset: Int, length: Int, wideFrom limit: Int) -> [UInt8] {
        let isWide = entries >= 0xFFFF || offset >= limit || length >= limit
        var bytes: [UInt8] = []
        if isWide {
            bytes += little(0x0606_4B50, 4) + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8)
            bytes += little(entries, 8) + little(entries, 8) + little(length, 8) + little(offset, 8)
            bytes += little(0x0706_4B50, 4) + little(0, 4) + little(offset + length, 8) + little(1, 4)
        }
        let (shownEntries, shownLength, shownOffset) =
            isWide ? (0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF) : (entries, length, offset)
        bytes += little(0x0605_4B50, 4) + little(0, 4) + little(shownEntries, 2) + little(shownEntries, 2)
        return bytes + little(shownLength, 4) + little(shownOffset, 4) + little(0, 2)
    }

    private static func extra(_ values: [Int]) -> [UInt8] {
        values.isEmpty ? [] : little(1, 2) + little(values.count * 8, 2) + values.flatMap { little($0, 8) }
    }
}

/// The `width` low bytes of a number, least significant first.
private func little(_ value: Int, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}
