import ComputationGraph
import Datasets
import Foundation
import Search

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

/// The `index`-th of a sequence of results that never repeats a key.
func sampleResult(_ index: Int) -> RecordedResult {
    var random = SplitMix64(seed: UInt64(index))
    let state = Mask((0..<index / 8 % 4).map { Edge(node: 10 + $0, slot: $0 % 2) })
    return RecordedResult(
        state: state, edge: index % 8 == 0 ? nil : Edge(node: 100 + index % 8, slot: 1),
        block: BlockID(shard: index % 3, index: index),
        scores: SampleScores(
            losses: (0..<16).map { _ in Float.random(in: 0..<5, using: &random) },
            correct: index % 2 == 0 ? [] : (0..<16).map { _ in UInt32.random(in: 0...1, using: &random) }))
}

extension Data {
    /// Whether `bytes` occur in it one after the other.
    func holds(_ bytes: [UInt8]) -> Bool { range(of: Data(bytes)) != nil }
}

/// The contents of a file, empty when there is none.
func contents(_ path: String) -> Data { FileManager.default.contents(atPath: path) ?? Data() }
