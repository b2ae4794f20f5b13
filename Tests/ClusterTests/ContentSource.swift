import Coordination
import Datasets
import Foundation
import Synchronization
import Work

@testable import Cluster

/// A folder that goes away.
func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = NSTemporaryDirectory() + "/espalier-test-\(UInt64.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// A fetcher whose coordinator is a function.
final class Source: Sendable {
    let library: ContentLibrary
    let content: ContentID
    let bytes: [UInt8]
    let asked = Mutex<[ChunkRequest]>([])
    /// Answers so many requests, then none.
    let left: Mutex<Int>
    /// Flips a bit in so many answers.
    let harmed: Mutex<Int>

    /// - Parameter count: bytes of the content, of a linear congruential generator.
    init(_ count: Int, in folder: String, answers: Int = .max, harmed: Int = 0) throws {
        var state = UInt32(count)
        bytes = (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return UInt8(state >> 24)
        }
        let library = ContentLibrary()
        let array = try NumpyArray(shape: [1, bytes.count], elementType: .uint8, bytes: bytes)
        try NumpyArchive.write([("x", array)], to: folder + "/source.npz")
        content = library.add(
            try Dataset(
                contentsOf: folder + "/source.npz",
                inputs: [InputSpecification(name: "x", elementType: .uint8, shape: nil)]
            ).archive(of: 0..<1))
        self.library = library
        left = Mutex(answers)
        self.harmed = Mutex(harmed)
    }

    func fetcher(_ folder: String, limit: Int = ContentCache.defaultLimit) -> ContentFetcher {
        let box = Mutex<ContentFetcher?>(nil)
        let cache = ContentCache(folder: folder, limit: limit)
        let fetcher = ContentFetcher(cache: cache, logger: quiet) { [self] request in
            asked.withLock { $0.append(request) }
            let isAnswered = left.withLock { left in
                left -= 1
                return left >= 0
            }
            guard isAnswered, let fetcher = box.withLock({ $0 }) else { return }
            guard case .chunk(let chunk) = library.answer(request) else { return }
            var bytes = chunk.bytes
            harmed.withLock { harmed in
                if harmed > 0 { bytes[bytes.startIndex] ^= 1 }
                harmed -= 1
            }
            fetcher.deliver(Chunk(sha256: chunk.sha256, offset: chunk.offset, bytes: bytes))
        }
        box.withLock { $0 = fetcher }
        return fetcher
    }

    var askedBytes: Int { asked.withLock { $0.reduce(0) { $0 + $1.count } } }
}
