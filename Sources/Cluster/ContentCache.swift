internal import Coordination
internal import Files
internal import Foundation
internal import Glibc
internal import Work

/// Contents on a worker's disk, shared by all workers of the machine and kept from run to run.
///
/// A content is written under another name and renamed when it is complete and its hash is right. What is there is
/// hashed again before it is used. Whoever writes holds a lock on the unfinished file; the others wait for it. The
/// unfinished file of a worker that died is gone on with.
public struct ContentCache: Sendable {
    /// The folder.
    public let folder: String
    /// The bytes that contents may take together, but for those in use.
    public let limit: Int

    /// The cache in a folder, which is made when it is needed.
    public init(folder: String, limit: Int = ContentCache.defaultLimit) {
        self.folder = folder
        self.limit = limit
    }

    /// `$XDG_CACHE_HOME/espalier`, or else `~/.cache/espalier`.
    public static var defaultFolder: String {
        let environment = ProcessInfo.processInfo.environment
        if let base = environment["XDG_CACHE_HOME"], base.hasPrefix("/") { return base + "/espalier" }
        return (environment["HOME"] ?? NSTemporaryDirectory()) + "/.cache/espalier"
    }

    /// The paths at which a content may lie in a part of the cache: the first one, and others for when something else has
    /// taken that, such as a folder, a pipe or a file of another user.
    func paths(of content: ContentID, in part: Part) -> [String] {
        let path = "\(folder)/\(part.rawValue)/\(content.hexadecimal)"
        return [path] + (1...3).map { "\(path).\($0)" }
    }

    /// The folders of the cache.
    enum Part: String, CaseIterable { case contents, partial }

    /// A content that is there and unharmed, and stays as long as it is held; a harmed one is removed.
    func verified(_ content: ContentID) throws(ContentHashError) -> HeldContent? {
        for path in paths(of: content, in: .contents) where FileKind(path) == .file {
            if let held = try verified(content, at: path) { return held }
        }
        return nil
    }

    private func verified(_ content: ContentID, at path: String) throws(ContentHashError) -> HeldContent? {
        guard let held = HeldContent(path: path) else { return nil }
        var status = stat()
        if stat(path, &status) == 0, Int(status.st_size) == content.size {
            do throws(ContentHashError) {
                if try ContentHash.digest(ofFile: path) == content.sha256 { return held }
            } catch  where error.code == ENOENT { return nil }
        }
        unlink(path)
        return nil
    }

    /// Where a content can be written: at the first of its paths that nothing else has taken.
    private func place(for content: ContentID, in part: Part) throws(ClusterError) -> String {
        let all = paths(of: content, in: part)
        for path in all where FileKind(path).map({ $0 == .file && FileKind.isOwn(path) }) ?? true {
            return path
        }
        throw .cache(path: all[0], reason: "something else has taken its place")
    }

    /// Opens the unfinished file of a content, for one writer at a time.
    ///
    /// - Returns: `nil` while another one writes.
    /// - Throws: `ClusterError.cache` when the folder cannot be written to, or has no room.
    func beginWriting(_ content: ContentID) throws(ClusterError) -> PartialContent? {
        for part in Part.allCases {
            do {
                try FileManager.default.createDirectory(
                    atPath: "\(folder)/\(part.rawValue)", withIntermediateDirectories: true,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                if ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError).map({
                    FileError.saysDiskFull(Int32($0.code))
                }) ?? false {
                    throw .cacheFull(path: folder, reason: "its folder cannot be made")
                }
                throw .cache(path: folder, reason: "it cannot be made: \(error.localizedDescription)")
            }
        }
        let path = try place(for: content, in: .partial)
        // A pipe that takes its place just now must not be waited for.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else { throw .system(path: path, errno) }
        var isOurs = flock(descriptor, LOCK_EX | LOCK_NB) == 0
        if !isOurs && errno != EWOULDBLOCK {
            let reason = SystemError.message()
            close(descriptor)
            throw .cache(path: path, reason: "it cannot be locked: \(reason)")
        }
        // The one that wrote it may just have finished, and taken the name away.
        var (opened, named) = (stat(), stat())
        if isOurs, fstat(descriptor, &opened) != 0 || stat(path, &named) != 0 || opened.st_ino != named.st_ino
        {
            isOurs = false
        }
        guard isOurs else {
            close(descriptor)
            return nil
        }
        let partial = PartialContent(
            content, path: path, finished: try place(for: content, in: .contents), descriptor: descriptor,
            size: Int(opened.st_size))
        trim(toTakeIn: content.size - partial.offset)
        var room = statvfs()
        if fstatvfs(descriptor, &room) == 0 {
            let free = Int(clamping: UInt64(room.f_bavail) * UInt64(room.f_frsize))
            let needed = content.size - partial.offset
            guard needed <= free else {
                throw .cacheFull(
                    path: folder,
                    reason: "\(content) needs \(needed >> 20) MiB, and \(free >> 20) MiB are free")
            }
        }
        return partial
    }

    /// Puts a model's files together in a folder of their own while `body` reads them.
    package func withModel<Result>(
        _ parts: [(name: String, path: String)], _ body: (String) throws -> Result
    ) throws -> Result {
        guard parts.count > 1 else { return try body(parts[0].path) }
        let place = "\(folder)/models/\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let files = FileManager.default
        defer { try? files.removeItem(atPath: place) }
        // Held as long as the files are read, so that nobody takes them for a dead worker's.
        var lock: Int32 = -1
        defer { if lock >= 0 { close(lock) } }
        do {
            try files.createDirectory(
                atPath: place, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            lock = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            flock(lock, LOCK_SH | LOCK_NB)
            for part in parts {
                let path = "\(place)/\(part.name)"
                try files.createDirectory(
                    atPath: path[..<(path.lastIndex(of: "/") ?? path.endIndex)].description,
                    withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
                if link(part.path, path) != 0 { try files.copyItem(atPath: part.path, toPath: path) }
            }
        } catch { throw ClusterError.cache(path: place, reason: error.localizedDescription) }
        return try body("\(place)/\(parts[0].name)")
    }
}

/// A content that is being written. Its lock goes with it.
final class PartialContent {
    let content: ContentID
    /// Bytes that are written, and hashed.
    private(set) var offset: Int
    private let path: String
    private let finished: String
    private var descriptor: Int32
    private var hasher = ContentHasher()

    fileprivate init(_ content: ContentID, path: String, finished: String, descriptor: Int32, size: Int) {
        self.content = content
        self.path = path
        self.finished = finished
        self.descriptor = descriptor
        offset = 0
        // What was left by another process, or by this one before its connection broke.
        if size <= content.size, (try? hasher.update(descriptor: descriptor, path: path)) != nil {
            offset = size
        } else {
            startAgain()
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Forgets what is written.
    func startAgain() {
        ftruncate(descriptor, 0)
        hasher = ContentHasher()
        offset = 0
    }

    /// Writes the next bytes.
    func append(_ bytes: Data) throws(ClusterError) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress! + done, bytes.count - done, offset + done)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .system(path: path, errno) }
            done += count
        }
        bytes.withUnsafeBytes { hasher.update($0) }
        offset += bytes.count
    }

    /// Gives the content its name.
    ///
    /// - Returns: the content, held; `nil` when what came is not the content, which is then forgotten.
    func finish() throws(ClusterError) -> HeldContent? {
        guard offset == content.size, hasher.finish() == content.sha256 else {
            startAgain()
            return nil
        }
        guard rename(path, finished) == 0 else { throw .system(path: finished, errno) }
        // The writer's lock becomes a reader's.
        flock(descriptor, LOCK_SH | LOCK_NB)
        defer { descriptor = -1 }
        return HeldContent(path: finished, locked: descriptor)
    }
}

/// What lies at a path, without following links.
private enum FileKind {
    case file, other

    /// `nil` where there is nothing.
    init?(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        self = status.st_mode & S_IFMT == S_IFREG ? .file : .other
    }

    /// Whether what lies there is this user's.
    static func isOwn(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_uid == geteuid()
    }
}

extension ClusterError {
    /// The cache's trouble with a path, by what the system says.
    fileprivate static func system(path: String, _ code: Int32) -> ClusterError {
        FileError.saysDiskFull(code)
            ? .cacheFull(path: path, reason: SystemError.message(code))
            : .cache(path: path, reason: SystemError.message(code))
    }
}
