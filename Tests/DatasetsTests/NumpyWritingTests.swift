import Foundation
import Testing

@testable import Datasets

/// What is written, NumPy reads; and a failure leaves nothing behind.
struct NumpyWritingTests {
    private static func arrays() throws -> [(String, NumpyArray)] {
        [
            ("input", try NumpyArray(shape: [2, 2], values: [1, -2, 0.5, 3] as [Float])),
            ("labels", try NumpyArray(shape: [3], values: [0, -100, 7] as [Int64])),
            ("a/b:0", try NumpyArray(shape: [], values: [6] as [UInt8])),
            ("nichts", try NumpyArray(shape: [0, 4], values: [] as [Double])),
            ("größe", try NumpyArray(shape: [2], values: [1, 0.25] as [Float16])),
        ]
    }

    @Test func numPyReadsWhatWasWritten() throws {
        try Fixtures.withTemporaryFolder { folder in
            let path = folder + "/out.npz"
            try NumpyArchive.write(Self.arrays(), to: path)
            guard
                let printed = Self.python(
                    """
                    import numpy
                    for name, a in numpy.load('\(path)').items(): print(name, a.dtype, a.shape, a.tolist())
                    """)
            else { return }
            #expect(
                printed == """
                    input float32 (2, 2) [[1.0, -2.0], [0.5, 3.0]]
                    labels int64 (3,) [0, -100, 7]
                    a/b:0 uint8 () 6
                    nichts float64 (0, 4) []
                    größe float16 (2,) [1.0, 0.25]

                    """)
        }
    }

    @Test func numPyReadsZip64() throws {
        try Fixtures.withTemporaryFolder { folder in
            let path = folder + "/wide.npz"
            // Everything from 100 bytes on counts as too large for the narrow fields.
            let pieces = try NumpyArchive.pieces(of: Self.arrays(), wideFrom: 100)
            try NumpyArchive.write(pieces, to: path)
            for (name, array) in try Self.arrays() {
                #expect(try NumpyArchive(contentsOf: path).array(named: name) == array)
            }
            guard
                let printed = Self.python(
                    "import numpy; a = numpy.load('\(path)'); print(a['input'].tolist(), a['größe'].tolist())"
                )
            else { return }
            #expect(printed == "[[1.0, -2.0], [0.5, 3.0]] [1.0, 0.25]\n")
        }
    }

    @Test func readsBackWhatWasWritten() throws {
        let arrays = try Self.arrays()
        let archive = try NumpyArchive(bytes: NumpyArchive.encode(arrays), path: "memory")
        #expect(archive.names == arrays.map(\.0))
        for (name, array) in arrays { #expect(try archive.array(named: name) == array) }
    }

    @Test func refusesTwoArraysOfOneName() throws {
        let array = try NumpyArray(shape: [1], values: [1] as [Float])
        let error = #expect(throws: DatasetError.self) {
            try NumpyArchive.encode([("x", array), ("x", array)])
        }
        #expect(error?.kind == .invalidSetting)
    }

    @Test func failureLeavesNothingBehind() throws {
        try Fixtures.withTemporaryFolder { folder in
            // A folder stands where the file should go.
            let path = folder + "/out.npz"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            let error = #expect(throws: DatasetError.self) { try NumpyArchive.write(Self.arrays(), to: path) }
            #expect(error?.kind == .unwritableFile)
            #expect(error?.file == path)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["out.npz"])
        }
    }

    /// What a Python program prints, or nil where there is no Python with NumPy.
    private static func python(_ program: String) -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-X", "utf8", "-c", program]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 || python(hasNumPy: ()) else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    private static func python(hasNumPy: Void) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", "import numpy"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}
