internal import ComputationGraph
internal import Foundation
internal import GRDB
internal import Search

/// How lists of numbers stand in the journal.
enum StoredBytes {
    /// Float32 values, little-endian.
    static func encode(_ values: [Float]) -> Data { encode(values.map(\.bitPattern)) }

    /// UInt32 values, little-endian.
    static func encode(_ values: [UInt32]) -> Data {
        values.map(\.littleEndian).withUnsafeBytes { Data($0) }
    }

    /// The UInt32 values of a blob; `nil` when it ends within one.
    static func integers(_ data: Data) -> [UInt32]? {
        guard data.count.isMultiple(of: 4) else { return nil }
        return data.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: 4).map {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
            }
        }
    }

    /// The Float32 values of a blob, to the bit; `nil` when it ends within one.
    static func floats(_ data: Data) -> [Float]? { integers(data)?.map(Float.init(bitPattern:)) }
}

extension Mask {
    /// Reads the canonical text, e.g. `{3:0, 7:1}`; `nil` when it has another form.
    init?(journalText text: String) {
        guard text.hasPrefix("{"), text.hasSuffix("}"), text.utf8.count >= 2 else { return nil }
        let inner = text.dropFirst().dropLast()
        guard !inner.isEmpty else {
            self = .empty
            return
        }
        var edges: [Edge] = []
        for part in inner.split(separator: ",", omittingEmptySubsequences: false) {
            guard let edge = Edge(String(part.drop { $0 == " " })) else { return nil }
            edges.append(edge)
        }
        self.init(edges)
    }
}

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

    /// Whether a column is NULL.
    func isNull(_ column: String) -> Bool { (self[column] as DatabaseValue?)?.isNull ?? true }
}

/// A state as it stands in the journal: everything but its per-sample losses, which `results` holds.
struct StoredState: Codable, Equatable {
    let mask: [Edge]
    let edge: Edge?
    let loss: Double
    let objective: Double
    let correct: Int?
    let nonFiniteLosses: Int
    let cost: Cost

    init(_ state: State) {
        mask = state.mask.units.compactMap(\.plainEdge)
        edge = state.edge
        loss = state.loss
        objective = state.objective
        correct = state.correct
        nonFiniteLosses = state.nonFiniteLosses
        cost = state.cost
    }

    var state: State {
        State(
            mask: Mask(mask), edge: edge, loss: loss, objective: objective, correct: correct,
            sampleLosses: [],
            cost: cost, nonFiniteLosses: nonFiniteLosses)
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
