import Foundation

/// The archives that `Scripts/fixtures/make-npz-fixtures.py` wrote with NumPy 2.4, and what NumPy read in them.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
        path: "Fixtures")

    static func path(_ name: String) -> String { folder.appending(path: name).path }

    static func bytes(_ name: String) throws -> [UInt8] {
        try [UInt8](Data(contentsOf: folder.appending(path: name)))
    }

    /// One array as NumPy's `tolist` gave it.
    struct Expected: Decodable {
        enum Values: Equatable {
            case booleans([Bool])
            case integers([Int64])
            case floats([Double])
        }
        let type: String
        let shape: [Int]
        let values: Values

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            type = try container.decode(String.self, forKey: .type)
            shape = try container.decode([Int].self, forKey: .shape)
            values =
                if type == "bool" {
                    try .booleans(container.decode([Bool].self, forKey: .values))
                } else if type.hasPrefix("float") {
                    try .floats(container.decode([Double].self, forKey: .values))
                } else {
                    try .integers(container.decode([Int64].self, forKey: .values))
                }
        }

        private enum Key: String, CodingKey { case type, shape, values }
    }

    /// By file, then by array.
    static func expected() throws -> [String: [String: Expected]] {
        try JSONDecoder().decode(
            [String: [String: Expected]].self, from: Data(contentsOf: folder.appending(path: "expected.json"))
        )
    }

    /// Runs `body` with the path of a new empty folder, which is removed afterwards.
    static func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
        let url = FileManager.default.temporaryDirectory.appending(path: "espalier-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: url) }
        return try body(url.path)
    }
}
