internal import Foundation
internal import GRDB

extension Row {
    /// The value of a column, `nil` for NULL and for another type than the column should have: a damaged file must
    /// not stop the process, as GRDB's own subscript would.
    func stored<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type = Value.self) -> Value?
    {
        (self[column] as DatabaseValue?).flatMap { Value.fromDatabaseValue($0) }
    }

    /// The value of a column that is never NULL.
    func required<Value: DatabaseValueConvertible>(
        _ column: String, file: String, as type: Value.Type = Value.self
    ) throws -> Value {
        guard let value = stored(column, as: type) else {
            throw JournalError.damaged(file: file, reason: "the column '\(column)' holds no such value")
        }
        return value
    }

}

/// JSON in columns. Finite doubles keep all their bits; the others are strings.
enum StoredJSON {
    static func encode(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(
        _ type: Value.Type, from text: String, column: String, file: String
    ) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        do { return try decoder.decode(type, from: Data(text.utf8)) } catch {
            throw JournalError.damaged(file: file, reason: "the column '\(column)' holds no such record")
        }
    }
}
