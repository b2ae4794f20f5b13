/// A parser for the subset of Python literals that `.npy` headers are written in.
struct PythonLiteral {
    /// A parsed value.
    indirect enum Value: Equatable {
        case string(String)
        case integer(Int)
        case boolean(Bool)
        case tuple([Value])
        case list([Value])
        case dictionary([String: Value])
    }

    /// Deeper nesting than any header has; bounds the recursion on hostile input.
    private static let maximumDepth = 8

    private let bytes: [UInt8]
    private var position = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    /// The one value that makes up the whole text, or nil if the text is anything else.
    mutating func parse() -> Value? {
        guard let value = value(depth: 0) else { return nil }
        skipSpace()
        return position == bytes.count ? value : nil
    }

    private mutating func value(depth: Int) -> Value? {
        skipSpace()
        guard depth < Self.maximumDepth, position < bytes.count else { return nil }
        switch bytes[position] {
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return string().map { .string($0) }
        case UInt8(ascii: "("): return items(until: UInt8(ascii: ")"), depth: depth).map { .tuple($0) }
        case UInt8(ascii: "["): return items(until: UInt8(ascii: "]"), depth: depth).map { .list($0) }
        case UInt8(ascii: "{"): return dictionary(depth: depth)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return integer()
        default:
            if take("True") { return .boolean(true) }
            if take("False") { return .boolean(false) }
            return nil
        }
    }

    private mutating func items(until end: UInt8, depth: Int) -> [Value]? {
        position += 1
        var items: [Value] = []
        while !takeByte(end) {
            guard let item = value(depth: depth + 1) else { return nil }
            items.append(item)
            guard takeByte(UInt8(ascii: ",")) || peekByte(end) else { return nil }
        }
        return items
    }

    private mutating func dictionary(depth: Int) -> Value? {
        position += 1
        var entries: [String: Value] = [:]
        while !takeByte(UInt8(ascii: "}")) {
            guard case .string(let key)? = value(depth: depth + 1), takeByte(UInt8(ascii: ":")),
                let entry = value(depth: depth + 1), entries.updateValue(entry, forKey: key) == nil,
                takeByte(UInt8(ascii: ",")) || peekByte(UInt8(ascii: "}"))
            else { return nil }
        }
        return .dictionary(entries)
    }

    private mutating func string() -> String? {
        let quote = bytes[position]
        let start = position + 1
        guard let end = bytes[start...].firstIndex(of: quote) else { return nil }
        position = end + 1
        let content = bytes[start..<end]
        return content.contains(UInt8(ascii: "\\")) ? nil : String(validating: content, as: UTF8.self)
    }

    private mutating func integer() -> Value? {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        let digits = String(decoding: bytes[start..<position], as: UTF8.self)
        // Python 2 wrote long integers with an L at the end.
        if position < bytes.count, bytes[position] == UInt8(ascii: "L") { position += 1 }
        return Int(digits).map { .integer($0) }
    }

    private mutating func take(_ word: String) -> Bool {
        guard bytes[position...].starts(with: word.utf8) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func takeByte(_ byte: UInt8) -> Bool {
        guard peekByte(byte) else { return false }
        position += 1
        return true
    }

    private mutating func peekByte(_ byte: UInt8) -> Bool {
        skipSpace()
        return position < bytes.count && bytes[position] == byte
    }

    private mutating func skipSpace() {
        while position < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
    }
}
