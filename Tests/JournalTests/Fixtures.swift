import Foundation
import Work

@testable import Journal

/// A folder for one test, removed with this.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/journal-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A folder in it that does not exist yet.
    var run: String { path + "/run" }
    var database: String { run + "/journal.sqlite" }
    var log: String { database + "-wal" }
}

extension RunIdentity {
    static let sample = RunIdentity(
        modelPath: "resnet.onnx", modelSHA256: "aa11", dataPath: "digits.npz", dataSHA256: "bb22",
        settings: #"{"blockSize":64,"strategy":{"beam":{"width":4}}}"#, version: "1.0",
        commandLine: ["prune", "resnet.onnx", "--steps", "3"])
}

/// Random numbers with a seed (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The `index`-th of a sequence of results that never repeats a key: about a hundred bytes each.
func sampleRecord(_ index: Int, stage: Int) -> WorkRecord {
    var random = SeededNumbers(seed: UInt64(index))
    var payload = ByteWriter()
    payload.write("state \(index % 4)")
    payload.write(index)
    let result = (0..<64 + index % 16).map { _ in UInt8.random(in: 0...255, using: &random) }
    return WorkRecord(
        key: WorkKey(
            kind: WorkKind(index % 5 == 0 ? "averages" : "losses"), stage: stage, payload: payload.bytes),
        result: result)
}

/// The same, of stage 1.
func sampleRecord(_ index: Int) -> WorkRecord { sampleRecord(index, stage: 1) }

extension Data {
    /// Whether `bytes` occur in it one after the other.
    func holds(_ bytes: [UInt8]) -> Bool { range(of: Data(bytes)) != nil }
}

/// The contents of a file, empty when there is none.
func contents(_ path: String) -> Data { FileManager.default.contents(atPath: path) ?? Data() }
