import ComputationGraph
import Coordination
import Datasets
import Foundation
import Journal
import ONNX
import Search
import Work

/// What is given the fuzzer's bytes. Errors are what is expected of them; traps are not.
enum Targets {
    static func data(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Data {
        bytes.map { Data(bytes: $0, count: count) } ?? Data()
    }

    /// Messages of both sides, as they are and with the right checksum; what is understood says the same again.
    static func wire(_ bytes: Data) -> Int32 {
        let wire = Wire()
        for frame in [bytes, Wire.sealed(bytes)] {
            if let message = try? wire.decodeWorkerMessage(frame), let again = try? wire.encode(message) {
                precondition((try? wire.decodeWorkerMessage(again)).map { "\($0)" } == "\(message)")
                if case .handover(let handover) = message {
                    _ = losses(handover.key.payload, result: handover.result.result)
                }
            }
            if let message = try? wire.decodeCoordinatorMessage(frame), let again = try? wire.encode(message)
            {
                precondition((try? wire.decodeCoordinatorMessage(again)).map { "\($0)" } == "\(message)")
            }
        }
        return 0
    }

    /// What is asked for and answered of losses; an item that is understood says the same again.
    private static func losses(_ payload: [UInt8], result: [UInt8]) -> [SampleScores]? {
        guard let item = try? LossItem(payload: payload) else { return nil }
        precondition((try? LossItem(payload: item.payload)) == item)
        _ = item.reuseHints(result)
        return try? LossItem.scores(
            in: result, expansions: item.units.count, samples: item.samples.count)
    }

    /// A model file up to its candidates.
    static func onnx(_ bytes: Data) -> Int32 {
        guard let file = try? ModelFile(serializedBytes: bytes), let graph = try? Graph(file) else {
            return 0
        }
        _ = try? Candidates(of: graph, selection: .all)
        return 0
    }

    /// An archive and all its arrays, as long as they are of a size that a file of some bytes may claim.
    static func npz(_ bytes: Data) -> Int32 {
        guard let archive = try? NumpyArchive(bytes: Array(bytes), path: "fuzz.npz") else { return 0 }
        for name in archive.names {
            _ = try? archive.header(of: name)
            _ = try? archive.array(named: name, rows: 4)
            _ = try? archive.array(named: name)
        }
        return 0
    }

    static let folder: String = {
        let base = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        let folder = "\(base)/espalier-fuzz-\(getpid())"
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return folder
    }()

    /// A journal file and everything that is read from it.
    static func journal(_ bytes: Data) -> Int32 {
        let file = "\(folder)/\(journalName)"
        for suffix in ["-wal", "-shm", "-journal"] { unlink(file + suffix) }
        guard (try? bytes.write(to: URL(filePath: file))) != nil,
            let journal = try? RunJournal.open(readOnlyIn: folder)
        else { return 0 }
        for stage in 0..<4 {
            for record in (try? journal.records(ofStage: stage)) ?? [] {
                _ = losses(record.key.payload, result: record.result)
            }
        }
        _ = try? journal.finishedStages(outcome: [StateRecord].self, notes: WorkCount.self).map {
            $0.outcome.map(\.state)
        }
        return 0
    }
}
