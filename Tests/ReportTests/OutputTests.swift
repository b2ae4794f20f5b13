import Foundation
import Testing

@testable import Report

@Suite final class OutputTests {
    let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/report-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    @Test func aResultReplacesAnOlderFileAndLeavesNothingElse() throws {
        let path = folder + "/result.json"
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        try JSONOutput.write(["b": 1, "a/c": 2], to: path)
        #expect(
            FileManager.default.contents(atPath: path) == Data("{\n  \"a/c\" : 2,\n  \"b\" : 1\n}\n".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["result.json"])
    }

    @Test func aFolderThatIsNotThereIsNamed() {
        let path = folder + "/nowhere/result.json"
        #expect(throws: ReportError.unwritable(path: path, reason: "no such file or directory")) {
            try JSONOutput.write([1], to: path)
        }
    }

    @Test func aNumberThatJSONHasNoFormForIsNamedAndTheOlderFileStays() throws {
        let path = folder + "/result.json"
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: ReportError.self) { try JSONOutput.write(["loss": Double.nan], to: path) }
        #expect(error?.description == "\(path): the result cannot be written as JSON: loss is nan")
        #expect(FileManager.default.contents(atPath: path) == Data("old".utf8))
    }

    @Test func aFileMayBeReadByWhomTheUsersMaskAllows() throws {
        let path = folder + "/result.json"
        try JSONOutput.write([1], to: path)
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let mask = umask(0)
        umask(mask)
        #expect(attributes[.posixPermissions] as? Int == Int(0o666 & ~mask))
    }

    @Test func aDeviceIsWrittenToAndNotReplaced() throws {
        try JSONOutput.write([1], to: "/dev/null")
        var status = stat()
        #expect(stat("/dev/null", &status) == 0)
        #expect(status.st_mode & S_IFMT == S_IFCHR)
        let error = #expect(throws: ReportError.self) { try JSONOutput.write([1], to: "/dev/full") }
        #expect(error?.description == "/dev/full: it cannot be written: no space left on device")
    }
}
