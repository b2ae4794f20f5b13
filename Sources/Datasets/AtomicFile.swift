import Foundation

/// Writes files that appear complete or not at all.
enum AtomicFile {
    /// Writes `pieces` one after the other to a temporary file beside `path`, then renames it.
    ///
    /// - Throws: `unwritableFile`; then nothing is left behind and an older file is untouched.
    static func write(_ pieces: [ArraySlice<UInt8>], to path: String) throws(DatasetError) {
        var template = Array((path + ".XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw failure("created") }
        let temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do throws(DatasetError) {
            defer { close(descriptor) }
            // mkstemp makes private files; give this one what any new file gets.
            let mask = umask(0)
            umask(mask)
            guard fchmod(descriptor, 0o666 & ~mask) == 0 else { throw failure("made readable") }
            for piece in pieces { try write(piece, to: descriptor) }
            guard fsync(descriptor) == 0 else { throw failure("written") }
            guard rename(temporary, path) == 0 else { throw failure("put in place") }
        } catch {
            unlink(temporary)
            throw error
        }
    }

    private static func write(_ piece: ArraySlice<UInt8>, to descriptor: Int32) throws(DatasetError) {
        var done = 0
        while done < piece.count {
            let count = piece.withUnsafeBytes { bytes in
                Foundation.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw failure("written")
            }
        }
    }

    private static func failure(_ verb: String) -> DatasetError {
        DatasetError(.unwritableFile, "it cannot be \(verb): \(systemMessage(errno))")
    }
}
