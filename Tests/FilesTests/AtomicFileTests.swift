import Foundation
import Testing

@testable import Files

/// What stands under a file's name is whole, whatever happens.
@Suite final class AtomicFileTests {
    let folder: String
    private var path: String { folder + "/result" }

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/files-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private var listing: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder).sorted() }
    }

    private var contents: String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func aFileAppearsWhenItIsCommittedAndReplacesWhatWasThere() throws {
        try Data("old".utf8).write(to: URL(filePath: path))
        let file = try AtomicFile(path)
        try file.write("new ".utf8)
        try file.write([UInt8]("and whole".utf8)[...])
        #expect(contents == "old")
        try file.commit()
        #expect(contents == "new and whole")
        #expect(try listing == ["result"])
    }

    @Test func whatIsNotCommittedLeavesNothing() throws {
        try Data("old".utf8).write(to: URL(filePath: path))
        do {
            let file = try AtomicFile(path)
            try file.write("half".utf8)
            // The unfinished file is hidden, beside the place where it is to stand.
            #expect(try listing.count { $0.hasPrefix(".result.") && $0.hasSuffix(".part") } == 1)
        }
        #expect(try listing == ["result"])
        #expect(contents == "old")
    }

    @Test func zerosFillUpToAMultiple() throws {
        let file = try AtomicFile(path)
        for text in ["", "abc", "defgh"] {
            try file.write(text.utf8)
            try file.pad(to: 4)
        }
        #expect(file.size == 12)
        try file.commit()
        #expect(contents == "abc\0defgh\0\0\0")
    }

    @Test func aFileMayBeReadByWhomTheUsersMaskAllows() throws {
        try AtomicFile(path).commit()
        let mask = umask(0)
        umask(mask)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        #expect(attributes[.posixPermissions] as? Int == Int(0o666 & ~mask))
    }

    @Test func aLongNameHasRoomForWhatIsAdded() throws {
        // 255 bytes, the most that Linux allows; characters of three bytes.
        let path = folder + "/" + String(repeating: "枝", count: 85)
        try AtomicFile(path).commit()
        #expect(FileManager.default.fileExists(atPath: path))
    }

    @Test func aFolderThatIsNotThereIsNamed() throws {
        let path = folder + "/nowhere/result"
        let error = #expect(throws: FileError.self) { try AtomicFile(path) }
        #expect(error?.code == ENOENT)
        #expect(error?.isDiskFull == false)
        #expect(error?.description == "\(path): it cannot be written: no such file or directory")
    }

    @Test func aFolderIsNotReplaced() throws {
        let error = #expect(throws: FileError.self) { try AtomicFile(folder) }
        #expect(error?.code == EISDIR)
        #expect(try listing == [])
    }

    @Test func aNameThatBecameAFolderMeanwhileFailsAndLeavesNothing() throws {
        do {
            let file = try AtomicFile(path)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            #expect(throws: FileError(path: path, code: EISDIR)) { try file.commit() }
        }
        #expect(try listing == ["result"])
    }

    @Test func aDeviceIsWrittenToAndNotReplaced() throws {
        let file = try AtomicFile("/dev/null")
        try file.write("gone".utf8)
        try file.commit()
        var status = stat()
        #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }

    @Test func aFullDiskIsToldFromADeviceThatTakesNoMore() throws {
        // Linux: every write to /dev/full ends with ENOSPC.
        let error = #expect(throws: FileError.self) { try AtomicFile("/dev/full").write([0]) }
        #expect(error?.code == ENOSPC)
        #expect(error?.isDiskFull == false)
        for code in [ENOSPC, EDQUOT] { #expect(FileError(path: path, code: code).isDiskFull) }
        #expect(!FileError(path: path, code: EIO).isDiskFull)
    }

    @Test func theFolderOfAPathIsKnownWithoutTheDisk() {
        let expected = ["a": (".", "a"), "/a": ("/", "a"), "x/y/a.npz": ("x/y", "a.npz"), "x/": ("x", "")]
        for (path, (folder, name)) in expected {
            #expect(FilePath.folder(of: path) == folder)
            #expect(FilePath.name(of: path) == name)
        }
    }
}
