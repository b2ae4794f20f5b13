import Coordination
import Datasets
import Foundation
import Search
import Synchronization
import Testing
import Work
import ZeroMQ

@testable import Cluster

@Suite(.timeLimit(.minutes(2))) struct ContentTests {
    /// A little more than five chunks.
    private let size = 5 * ChunkRequest.largestCount + 1000

    @Test func aContentComesPieceByPieceAndIsFoundInTheCacheFromThenOn() throws {
        try withFolder { folder in
            let source = try Source(size, in: folder)
            let path = try source.fetcher(folder + "/cache").path(of: source.content)
            #expect(
                try Data(contentsOf: URL(filePath: path))
                    == Data(contentsOf: URL(filePath: folder + "/source.npz")))
            #expect(source.askedBytes == source.content.size)
            #expect(try source.fetcher(folder + "/cache").path(of: source.content) == path)
            #expect(source.askedBytes == source.content.size, "nothing was asked for again")
        }
    }

    @Test(arguments: 0...5) func aCutFetchIsGoneOnWith(chunks: Int) throws {
        try withFolder { folder in
            let source = try Source(size, in: folder, answers: chunks)
            let first = source.fetcher(folder + "/cache")
            let ended = Mutex(false)
            first.fetch(source.content) { _ in ended.withLock { $0 = true } }
            let partial = "\(folder)/cache/partial/\(source.content.hexadecimal)"
            for _ in 0..<500 {
                let length = (try? FileManager.default.attributesOfItem(atPath: partial)[.size]) as? Int
                if length == chunks * ChunkRequest.largestCount { break }
                usleep(10_000)
            }
            first.close()
            while !ended.withLock({ $0 }) { usleep(1000) }
            source.asked.withLock { $0 = [] }
            source.left.withLock { $0 = .max }
            let path = try source.fetcher(folder + "/cache").path(of: source.content)
            #expect(try ContentHash.digest(ofFile: path) == source.content.sha256)
            #expect(source.askedBytes == source.content.size - chunks * ChunkRequest.largestCount)
            #expect(!FileManager.default.fileExists(atPath: partial))
        }
    }

    @Test func aHarmedPieceIsNoticedAndTheContentFetchedAgain() throws {
        try withFolder { folder in
            let source = try Source(size, in: folder, harmed: 1)
            let path = try source.fetcher(folder + "/cache").path(of: source.content)
            #expect(try ContentHash.digest(ofFile: path) == source.content.sha256)
            #expect(source.askedBytes == 2 * source.content.size)
        }
    }

    @Test func aContentThatIsNeverWhatItIsCalledIsRefused() throws {
        try withFolder { folder in
            let source = try Source(size, in: folder, harmed: .max)
            #expect(
                throws: ClusterError.otherContent(content: source.content.hexadecimal, attempts: 3)
            ) { try source.fetcher(folder + "/cache").path(of: source.content) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/cache/contents") == [])
        }
    }

    @Test func aHarmedFileInTheCacheIsReplaced() throws {
        try withFolder { folder in
            let source = try Source(size, in: folder)
            let path = try source.fetcher(folder + "/cache").path(of: source.content)
            let handle = try FileHandle(forWritingTo: URL(filePath: path))
            try handle.seek(toOffset: 99)
            try handle.write(contentsOf: Data([1, 2, 3]))
            try handle.close()
            _ = try source.fetcher(folder + "/cache").path(of: source.content)
            #expect(try ContentHash.digest(ofFile: path) == source.content.sha256)
        }
    }

    @Test(arguments: ["contents", "partial"], ["pipe", "folder", "link"])
    func whatElseHasTakenAContentsPlaceIsLeftAloneAndTheContentFetchedToAnother(part: String, kind: String)
        throws
    {
        try withFolder { folder in
            let source = try Source(size, in: folder)
            let place = "\(folder)/cache/\(part)/\(source.content.hexadecimal)"
            let files = FileManager.default
            try files.createDirectory(
                atPath: "\(folder)/cache/\(part)", withIntermediateDirectories: true)
            switch kind {
            case "pipe": #expect(mkfifo(place, 0o600) == 0)
            case "folder": try files.createDirectory(atPath: place, withIntermediateDirectories: false)
            default: try files.createSymbolicLink(atPath: place, withDestinationPath: "/dev/zero")
            }
            let before = try files.attributesOfItem(atPath: place)[.type] as? FileAttributeType
            for _ in 0..<2 {
                let path = try source.fetcher(folder + "/cache").path(of: source.content)
                #expect(try ContentHash.digest(ofFile: path) == source.content.sha256)
            }
            #expect(source.askedBytes == source.content.size, "it was fetched twice")
            #expect(try files.attributesOfItem(atPath: place)[.type] as? FileAttributeType == before)
        }
    }

    @Test func workersOfOneMachineFetchAContentOnce() async throws {
        let folder = NSTemporaryDirectory() + "/espalier-test-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let source = try Source(size, in: folder)
        let results = Mutex<[String]>([])
        for _ in 0..<6 {
            let fetcher = source.fetcher(folder + "/cache")
            fetcher.fetch(source.content) { result in
                _ = fetcher
                results.withLock { $0.append((try? result.get()) ?? "failed") }
            }
        }
        for _ in 0..<1000 where results.withLock({ $0.count }) < 6 {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(results.withLock { $0.count } == 6)
        #expect(Set(results.withLock { $0 }).count == 1)
        #expect(source.askedBytes == source.content.size)
    }

    @Test func whatTheCoordinatorDoesNotHaveIsANamedError() throws {
        let library = ContentLibrary()
        let request = ChunkRequest(sha256: [UInt8](repeating: 1, count: 32), offset: 0, count: 1)
        #expect(
            library.answer(request)
                == .missing(sha256: request.sha256, reason: "the coordinator has no such content"))
    }

    @Test func aModelsFilesKeepTheirPlacesAndLeaveNothing() throws {
        try withFolder { folder in
            for (name, text) in [("one", "model"), ("two", "weights")] {
                try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            let cache = ContentCache(folder: folder + "/cache")
            let parts = [("m.onnx", folder + "/one"), ("deep/w.bin", folder + "/two")]
            try cache.withModel(parts) { (path) throws in
                #expect(path.hasSuffix("/m.onnx"))
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "model")
                let weights = path.dropLast("m.onnx".count) + "deep/w.bin"
                #expect(try String(contentsOfFile: String(weights), encoding: .utf8) == "weights")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/cache/models") == [])
        }
    }
}
