internal import Foundation
internal import Glibc
internal import Work

/// The cache's limit: contents that nobody uses go, those first that were used longest ago.
extension ContentCache {
    /// What is kept unless said otherwise: 10 GiB.
    public static let defaultLimit = 10 << 30

    /// A file of the cache.
    private struct Entry {
        let path: String
        let size: Int
        let lastUse: Double
    }

    /// Files of models that were put together by a worker that died are kept for so long, in seconds.
    private static let modelPatience = 600.0

    /// Removes contents, finished ones and unfinished ones, until they and `more` bytes are within the limit, or
    /// nothing is left but what somebody uses or writes.
    func trim(toTakeIn more: Int = 0) {
        let entries = Part.allCases.flatMap { files(in: "\(folder)/\($0.rawValue)") }
        var total = entries.reduce(more) { $0 + $1.size }
        guard total > limit else { return }
        removeAbandonedModels()
        for entry in entries.sorted(by: { ($0.lastUse, $0.path) < ($1.lastUse, $1.path) }) where total > limit
        {
            if ContentCache.removeUnused(entry.path) { total -= entry.size }
        }
    }

    /// Removes a content unless somebody uses it.
    func remove(_ content: ContentID) {
        for path in paths(of: content, in: .contents) { _ = ContentCache.removeUnused(path) }
    }

    private func files(in folder: String) -> [Entry] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).compactMap { name in
            var status = stat()
            let path = "\(folder)/\(name)"
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            let lastUse = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
            return Entry(path: path, size: Int(status.st_size), lastUse: lastUse)
        }
    }

    /// Removes a file unless someone holds its lock, or the file system has no locks that would tell.
    private static func removeUnused(_ path: String) -> Bool {
        // Some network file systems give the exclusive lock only to those who could write.
        let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return errno == ENOENT }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return false }
        var (opened, named) = (stat(), stat())
        guard fstat(descriptor, &opened) == 0, stat(path, &named) == 0, opened.st_ino == named.st_ino else {
            return false
        }
        return unlink(path) == 0
    }

    /// Removes the folders in which workers that died had put a model's files together: their links would keep contents
    /// on the disk that are removed.
    private func removeAbandonedModels() {
        let place = folder + "/models"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [] {
            let path = "\(place)/\(name)"
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
                Date().timeIntervalSince1970 - Double(status.st_mtim.tv_sec) > ContentCache.modelPatience
            else { continue }
            let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}
