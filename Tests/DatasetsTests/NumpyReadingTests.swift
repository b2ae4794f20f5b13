import Foundation
import Testing

@testable import Datasets

/// Reading what NumPy wrote gives what NumPy reads.
struct NumpyReadingTests {
    @Test(arguments: [
        "stored.npz", "compressed.npz", "zip64.npz", "streamed.npz", "commented.npz", "version1.npy",
        "version2.npy", "version3.npy",
    ])
    func readsEveryArrayAsNumPyDoes(file: String) throws {
        let expected = try #require(try Fixtures.expected()[file])
        let archive = try NumpyArchive(contentsOf: Fixtures.path(file))
        #expect(Set(archive.names) == Set(expected.keys))
        for (name, wanted) in expected {
            let array = try archive.array(named: name)
            let header = try archive.header(of: name)
            #expect(array.elementType.rawValue == wanted.type, "\(name)")
            #expect(array.shape == wanted.shape, "\(name)")
            #expect(header.shape == wanted.shape && header.elementType == array.elementType, "\(name)")
            switch wanted.values {
            case .booleans(let values): #expect(array.bytes == values.map { $0 ? 1 : 0 }, "\(name)")
            case .integers(let values): #expect(try array.int64s() == values, "\(name)")
            case .floats(let values):
                let read =
                    switch array.elementType {
                    case .float64: array.values(as: Double.self)
                    default: try array.floats().map { Double($0) }
                    }
                #expect(read == values, "\(name)")
            }
        }
    }

    @Test func readsFirstRowsOnly() throws {
        for file in ["stored.npz", "compressed.npz"] {
            let archive = try NumpyArchive(contentsOf: Fixtures.path(file))
            // numpy.load(…)["fortran4"][:1] and ["int32"][:1], from expected.json.
            let fortran = try archive.array(named: "fortran4", rows: 1)
            #expect(fortran.shape == [1, 3, 1, 4])
            #expect(try fortran.int64s() == Array(0..<12))
            #expect(try archive.array(named: "int32", rows: 1).int64s() == [-2_147_483_648, 0, 1])
            #expect(try archive.array(named: "int32", rows: 9).shape == [2, 3])
            #expect(try archive.array(named: "scalar", rows: 1).floats() == [2.5])
        }
    }

    @Test func readsLongCompressedArrays() throws {
        let array = try NumpyArchive(contentsOf: Fixtures.path("long.npz")).array(named: "ramp")
        // numpy.arange(200_000) % 251
        #expect(array.bytes == (0..<200_000).map { UInt8($0 % 251) })
    }

    @Test func checksumCoversRowsThatAreNotKept() throws {
        var bytes = try NumpyArchive.encode([("x", NumpyArray(shape: [4], values: [1, 2, 3, 4] as [Float]))])
        let last = try #require(bytes.firstRange(of: [0x00, 0x00, 0x80, 0x40])).lowerBound  // 4.0
        bytes[last] = 1
        let archive = try NumpyArchive(bytes: bytes, path: "x.npz")
        let error = #expect(throws: DatasetError.self) { try archive.array(named: "x", rows: 1) }
        #expect(error?.kind == .checksumMismatch)
    }

    @Test(arguments: [
        ("text", "text"), ("bytes", "text"), ("objects", "Python objects"), ("complex", "complex numbers"),
        ("records", "records"), ("dates", "dates"), ("raw", "raw records"),
    ])
    func namesArrayAndTypeThatCannotBeRead(name: String, words: String) throws {
        let archive = try NumpyArchive(contentsOf: Fixtures.path("unsupported.npz"))
        let error = #expect(throws: DatasetError.self) { try archive.array(named: name) }
        #expect(error?.kind == .unsupportedElementType)
        #expect(error?.description.contains("unsupported.npz: array '\(name)'") == true)
        #expect(error?.description.contains(words) == true)
    }

    @Test func namesTheArraysThatThereAre() throws {
        let archive = try NumpyArchive(contentsOf: Fixtures.path("zip64.npz"))
        let error = #expect(throws: DatasetError.self) { try archive.array(named: "images") }
        #expect(error?.kind == .missingArray)
        #expect(error?.description.hasSuffix("there are 'int64', 'fortran2', 'float16'") == true)
    }

    @Test func namesAFileThatCannotBeOpened() {
        for path in ["/nonexistent/data.npz", "/dev/null", "/"] {
            let error = #expect(throws: DatasetError.self) { try NumpyArchive(contentsOf: path) }
            #expect(error?.kind == .unreadableFile)
            #expect(error?.file == path)
        }
    }
}
