/// The end-of-central-directory record of a zip archive, with its zip64 variant.
struct ZipEnd: Sendable {
    let entryCount: Int
    let directoryOffset: Int
    let directoryLength: Int

    private static let recordLength = 22
    private static let locatorLength = 20
    private static let wideRecordLength = 56
    private static let maximumComment = 0xFFFF

    /// Finds and reads the record.
    ///
    /// - Throws: `malformedArchive` if there is none, or it does not lie right behind the directory.
    init(_ store: ByteStore) throws(DatasetError) {
        let tailLength = min(store.count, Self.recordLength + Self.maximumComment)
        let tail = try store.bytes(at: store.count - tailLength, count: tailLength)
        guard let start = Self.recordStart(in: tail) else {
            throw Self.malformed(
                "it is no .npz file as numpy.savez writes it: it is no zip archive, or its end is missing")
        }
        func field(_ offset: Int, _ width: Int) -> Int {
            Int(littleEndian: tail[start + offset..<start + offset + width])
        }
        guard field(4, 2) == field(6, 2) || field(4, 2) == 0xFFFF, field(8, 2) == field(10, 2) else {
            throw Self.malformed("it is one part of a split archive")
        }
        var (count, length, offset) = (field(10, 2), field(12, 4), field(16, 4))
        var end = store.count - tailLength + start
        if let wide = try Self.wideRecord(before: end, in: store) {
            (count, length, offset, end) = wide
        }
        guard length <= end, offset == end - length else {
            throw Self.malformed("its directory is not where its end says")
        }
        entryCount = count
        directoryLength = length
        directoryOffset = offset
    }

    /// Where the record starts: the last signature whose comment reaches exactly to the end of the file.
    private static func recordStart(in tail: [UInt8]) -> Int? {
        guard tail.count >= recordLength else { return nil }
        return (0...tail.count - recordLength).reversed().first { start in
            Int(littleEndian: tail[start..<start + 4]) == 0x0605_4B50
                && Int(littleEndian: tail[start + 20..<start + 22]) == tail.count - start - recordLength
        }
    }

    private static func wideRecord(
        before end: Int, in store: ByteStore
    ) throws(DatasetError) -> (count: Int, length: Int, offset: Int, end: Int)? {
        guard end >= locatorLength else { return nil }
        let locator = try store.bytes(at: end - locatorLength, count: locatorLength)
        guard Int(littleEndian: locator[0..<4]) == 0x0706_4B50 else { return nil }
        let start = Int(littleEndian: locator[8..<16])
        guard start <= end - locatorLength - wideRecordLength else {
            throw malformed("its zip64 record lies outside the file")
        }
        let record = try store.bytes(at: start, count: wideRecordLength)
        guard Int(littleEndian: record[0..<4]) == 0x0606_4B50 else {
            throw malformed("its zip64 record is damaged")
        }
        return (
            Int(littleEndian: record[32..<40]), Int(littleEndian: record[40..<48]),
            Int(littleEndian: record[48..<56]), start
        )
    }

    private static func malformed(_ problem: String) -> DatasetError {
        DatasetError(.malformedArchive, problem)
    }
}
