public import Coordination
public import Datasets
internal import Foundation
internal import Glibc
internal import ONNX
internal import Synchronization
public import Work

/// What a coordinator can give to workers that see none of its files.
public final class ContentLibrary: Sendable {
    private enum Source: Sendable {
        case file(OpenFile)
        case archive(ArchiveImage)
        case bytes([UInt8])
    }

    private let sources = Mutex<[[UInt8]: Source]>([:])

    /// A library without any content.
    public init() {}

    /// Adds an archive that is not written anywhere.
    public func add(_ archive: ArchiveImage) -> ContentID {
        let content = ContentID(sha256: ContentHash.digest(of: archive), size: archive.count)
        sources.withLock { $0[content.sha256] = .archive(archive) }
        return content
    }

    /// Adds bytes that were computed in the run, e.g. a table of means.
    public func add(_ bytes: [UInt8]) -> ContentID {
        let content = ContentHash.content(of: bytes)
        sources.withLock { $0[content.sha256] = .bytes(bytes) }
        return content
    }

    /// Lets go of a content.
    public func remove(_ content: ContentID) { sources.withLock { $0[content.sha256] = nil } }

    /// Adds a model's files: the model itself first, then those that hold its weights. They stay open, so that it does
    /// no harm when they are moved meanwhile.
    ///
    /// - Throws: `ContentHashError` when one cannot be read; `ModelError` when the model is none.
    public func add(modelAt path: String) throws -> [ModelPart] {
        let others = try ModelFile(contentsOf: path, loadingExternalData: false).externalDataFiles
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let own = path.split(separator: "/").last.map(String.init) ?? path
        var parts = [ModelPart(name: own, content: try add(fileAt: path))]
        for other in others {
            // They are told relative to the model's folder.
            let relative = other.hasPrefix(folder) ? other.dropFirst(folder.count) : other[...]
            let name = relative.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
            guard !parts.contains(where: { $0.name == name }) else { continue }
            parts.append(ModelPart(name: name, content: try add(fileAt: other)))
        }
        return parts
    }

    private func add(fileAt path: String) throws -> ContentID {
        let file = try OpenFile(path)
        let content = ContentID(sha256: try file.digest(), size: file.size)
        sources.withLock { $0[content.sha256] = .file(file) }
        return content
    }

    /// The answer to a request: a chunk, or why there is none.
    func answer(_ request: ChunkRequest) -> CoordinatorMessage {
        let count = min(request.count, ChunkRequest.largestCount)
        switch sources.withLock({ $0[request.sha256] }) {
        case nil: return .missing(sha256: request.sha256, reason: "the coordinator has no such content")
        case .archive(let archive):
            return chunk(request, archive.bytes(at: request.offset, count: count))
        case .bytes(let bytes):
            let start = min(max(0, request.offset), bytes.count)
            return chunk(request, Array(bytes[start..<min(bytes.count, start + count)]))
        case .file(let file):
            do { return chunk(request, try file.bytes(at: request.offset, count: count)) } catch {
                return .missing(sha256: request.sha256, reason: "\(error)")
            }
        }
    }

    private func chunk(_ request: ChunkRequest, _ bytes: [UInt8]) -> CoordinatorMessage {
        guard bytes.count == request.count else {
            return .missing(
                sha256: request.sha256,
                reason: "there are not \(request.count) bytes from byte \(request.offset) on")
        }
        return .chunk(Chunk(sha256: request.sha256, offset: request.offset, bytes: Data(bytes)))
    }
}

/// A file that is read piece by piece; closed with its last reference.
private final class OpenFile: Sendable {
    let size: Int
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws(ContentHashError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw ContentHashError(path: path, code: errno) }
        var status = stat()
        fstat(descriptor, &status)
        self.path = path
        self.descriptor = descriptor
        size = Int(status.st_size)
    }

    deinit { close(descriptor) }

    func digest() throws(ContentHashError) -> [UInt8] {
        let hasher = ContentHasher()
        try hasher.update(descriptor: descriptor, path: path)
        return hasher.finish()
    }

    func bytes(at offset: Int, count: Int) throws(ContentHashError) -> [UInt8] {
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                let got = pread(
                    descriptor, buffer.baseAddress! + initialized, count - initialized, offset + initialized)
                if got < 0 && errno == EINTR { continue }
                if got < 0 { code = errno }
                if got <= 0 { return }
                initialized += got
            }
        }
        guard code == 0 else { throw ContentHashError(path: path, code: code) }
        return bytes
    }
}
