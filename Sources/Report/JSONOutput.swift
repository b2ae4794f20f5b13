internal import Foundation

/// A result that could not be handed over, as a sentence that names where it was to go.
public enum ReportError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The file cannot be written.
    case unwritable(path: String, reason: String)
    /// There is no room for the file on the disk, or in the user's part of it.
    case diskFull(path: String)
    /// The value has no form in JSON.
    case unencodable(path: String, reason: String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .unwritable(let path, let reason): "\(path): it cannot be written: \(reason)"
        case .diskFull(let path): "\(path): it cannot be written: the disk is full"
        case .unencodable(let path, let reason): "\(path): the result cannot be written as JSON: \(reason)"
        }
    }
}

/// Machine-readable results: to a file, complete or not at all, or to standard output.
public enum JSONOutput {
    /// The JSON text of a value: keys sorted, doubles with all the digits that bring every bit back.
    ///
    /// - Throws: `EncodingError`, e.g. for a number that is not finite.
    public static func text(of value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    /// Writes a value to the file `path`, or to standard output when that is `-`.
    ///
    /// - Throws: `ReportError`; a file that was there is then untouched.
    public static func write(_ value: some Encodable, to path: String) throws(ReportError) {
        let text: String
        do { text = try self.text(of: value) } catch {
            throw .unencodable(path: path, reason: JSONOutput.reason(of: error))
        }
        try TextOutput.write(text, to: path)
    }

    private static func reason(of error: any Error) -> String {
        guard case EncodingError.invalidValue(let value, let context) = error else { return "\(error)" }
        let field = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(
            separator: ".")
        return field.isEmpty ? context.debugDescription : "\(field) is \(value)"
    }
}
