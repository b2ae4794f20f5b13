/// The entries of a zip archive, from its central directory (PKWARE APPNOTE 6.3, sections 4.3 and 4.5).
///
/// Everything that an entry claims is checked against the archive's real size before anything is allocated.
struct ZipDirectory: Sendable {
    /// One file within the archive.
    struct Entry: Sendable {
        let name: String
        let method: EntryReader.Method
        let checksum: UInt32
        let compressedCount: Int
        let count: Int
        /// Where the entry's local header starts.
        let headerOffset: Int
        /// Where its (compressed) bytes start.
        var dataOffset = 0
        var dataEnd: Int { dataOffset + compressedCount }
    }

    let entries: [Entry]

    /// A directory longer than this describes no data set.
    private static let maximumLength = 64 << 20
    /// Deflate gives at most 1,032 bytes per byte (a 258-byte copy in two bits).
    private static let maximumRatio = 1032
    /// Entries larger than this that deflate by more than so much are no data, but made to fill the memory.
    private static let largeCount = 1 << 30
    private static let maximumRatioOfLarge = 256

    /// Reads and checks the directory.
    ///
    /// - Throws: `malformedArchive` for damage, overlapping entries and impossible sizes.
    init(_ store: ByteStore) throws(DatasetError) {
        let end = try ZipEnd(store)
        guard end.directoryLength <= Self.maximumLength else {
            throw Self.malformed("its directory claims \(end.directoryLength) bytes")
        }
        let bytes = try store.bytes(at: end.directoryOffset, count: end.directoryLength)
        var entries: [Entry] = []
        var position = 0
        while position < bytes.count {
            let (entry, next) = try Self.entry(in: bytes, at: position)
            position = next
            entries.append(entry)
        }
        guard entries.count == end.entryCount else {
            throw Self.malformed("it claims \(end.entryCount) entries, but lists \(entries.count)")
        }
        for index in entries.indices {
            try Self.locate(&entries[index], in: store, before: end.directoryOffset)
        }
        let ordered = entries.sorted { $0.headerOffset < $1.headerOffset }
        for (first, second) in zip(ordered, ordered.dropFirst()) where second.headerOffset < first.dataEnd {
            throw Self.malformed("entries '\(first.name)' and '\(second.name)' overlap")
        }
        self.entries = entries
    }

    private static func entry(in bytes: [UInt8], at start: Int) throws(DatasetError) -> (Entry, next: Int) {
        let fixed = 46
        guard bytes.count - start >= fixed, Int(littleEndian: bytes[start..<start + 4]) == 0x0201_4B50 else {
            throw malformed("its directory is damaged")
        }
        func field(_ offset: Int, _ width: Int) -> Int {
            Int(littleEndian: bytes[start + offset..<start + offset + width])
        }
        let (nameLength, extraLength) = (field(28, 2), field(30, 2))
        let next = start + fixed + nameLength + extraLength + field(32, 2)
        guard next <= bytes.count,
            let name = String(validating: bytes[start + fixed..<start + fixed + nameLength], as: UTF8.self)
        else { throw malformed("its directory is damaged") }
        guard field(8, 2) & 1 == 0 else { throw malformed("entry '\(name)' is encrypted") }

        var (count, compressed, header) = (field(24, 4), field(20, 4), field(42, 4))
        var wide = Zip64Fields(bytes[start + fixed + nameLength..<start + fixed + nameLength + extraLength])
        for keyPath in [0, 1, 2] {
            let value = [count, compressed, header][keyPath]
            guard value == 0xFFFF_FFFF else { continue }
            guard let real = wide.next() else { throw malformed("entry '\(name)' lacks its zip64 size") }
            switch keyPath {
            case 0: count = real
            case 1: compressed = real
            default: header = real
            }
        }
        let method: EntryReader.Method
        switch field(10, 2) {
        case 0: method = .stored
        case 8: method = .deflated
        case let code: throw malformed("entry '\(name)' is compressed by method \(code); 0 and 8 are read")
        }
        guard method == .stored ? count == compressed : count / maximumRatio <= compressed else {
            throw malformed("entry '\(name)' claims \(count) bytes from \(compressed), which cannot be")
        }
        guard count <= largeCount || count / maximumRatioOfLarge <= compressed else {
            throw DatasetError(
                .tooLarge,
                "entry '\(name)' inflates \(compressed) bytes to \(count): so much of one value is no data")
        }
        let entry = Entry(
            name: name, method: method, checksum: UInt32(field(16, 4)), compressedCount: compressed,
            count: count,
            headerOffset: header)
        return (entry, next)
    }

    /// Finds where an entry's data start, which only its local header tells.
    private static func locate(
        _ entry: inout Entry, in store: ByteStore, before limit: Int
    ) throws(DatasetError) {
        let fixed = 30
        guard entry.headerOffset <= limit - fixed else {
            throw malformed("entry '\(entry.name)' lies outside the file")
        }
        let bytes = try store.bytes(at: entry.headerOffset, count: fixed)
        guard Int(littleEndian: bytes[0..<4]) == 0x0403_4B50 else {
            throw malformed("entry '\(entry.name)' has no header where the directory says")
        }
        let lengths = Int(littleEndian: bytes[26..<28]) + Int(littleEndian: bytes[28..<30])
        entry.dataOffset = entry.headerOffset + fixed + lengths
        guard entry.dataOffset <= limit, entry.compressedCount <= limit - entry.dataOffset else {
            throw malformed("entry '\(entry.name)' lies outside the file")
        }
        let name = try store.bytes(at: entry.headerOffset + fixed, count: Int(littleEndian: bytes[26..<28]))
        guard name.elementsEqual(entry.name.utf8) else {
            throw malformed("entry '\(entry.name)' has another name in its own header")
        }
    }

    private static func malformed(_ problem: String) -> DatasetError {
        DatasetError(.malformedArchive, problem)
    }
}

/// The values of a directory entry's zip64 extra field, in order.
private struct Zip64Fields {
    private var values: ArraySlice<UInt8> = []

    init(_ extra: ArraySlice<UInt8>) {
        var rest = extra
        while rest.count >= 4 {
            let kind = Int(littleEndian: rest.prefix(2))
            let length = Int(littleEndian: rest.dropFirst(2).prefix(2))
            rest = rest.dropFirst(4)
            if kind == 0x0001 { values = rest.prefix(length) }
            rest = rest.dropFirst(length)
        }
    }

    mutating func next() -> Int? {
        guard values.count >= 8 else { return nil }
        defer { values = values.dropFirst(8) }
        return Int(littleEndian: values.prefix(8))
    }
}
