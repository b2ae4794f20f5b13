import Foundation
import Testing

@testable import Datasets

/// Damaged and hostile archives give one error that names file and array, never a crash or a huge allocation.
struct HostileArchiveTests {
    @Test(arguments: [
        ("nothing.npz", DatasetError.Kind.malformedArchive), ("text.npz", .malformedArchive),
        ("truncated.npz", .malformedArchive), ("cut-front.npz", .malformedArchive),
        ("checksum.npz", .checksumMismatch), ("deflate-damaged.npz", .malformedArchive),
        ("deflate-cut.npz", .malformedArchive), ("deflate-more.npz", .malformedArchive),
        ("deflate-trailing.npz", .malformedArchive), ("bomb.npz", .malformedArchive),
        ("method.npz", .malformedArchive), ("not-numpy.npz", .malformedArray),
        ("shape-large.npz", .malformedArray), ("shape-overflow.npz", .malformedArray),
        ("shape-hidden-overflow.npz", .malformedArray), ("shape-negative.npz", .malformedArray),
        ("shape-short.npz", .malformedArray), ("shape-code.npz", .malformedArray),
        ("shape-missing.npz", .malformedArray), ("nested.npz", .malformedArray),
        ("header-long.npz", .malformedArray), ("overlap.npz", .malformedArchive),
        ("twice.npz", .malformedArchive),
        // The header wants more bytes than the entry claims, before anything is decompressed.
        ("deflate-long.npz", .malformedArray),
    ])
    func hostileArchiveIsANamedError(file: String, kind: DatasetError.Kind) throws {
        let error = #expect(throws: DatasetError.self) {
            let archive = try NumpyArchive(contentsOf: Fixtures.path("Hostile/" + file))
            for name in archive.names { _ = try archive.array(named: name) }
        }
        #expect(error?.kind == kind)
        #expect(error?.description.contains(file) == true)
    }

    @Test(arguments: ["zip64.npz", "streamed.npz", "version2.npy"])
    func everyTruncationIsAnError(file: String) throws {
        let bytes = try Fixtures.bytes(file)
        for length in 0..<bytes.count {
            #expect(throws: DatasetError.self, "\(length) bytes") {
                let archive = try NumpyArchive(bytes: Array(bytes.prefix(length)), path: file)
                for name in archive.names { _ = try archive.array(named: name) }
            }
        }
    }

    /// A changed byte is an error, or lies where nothing that matters is kept (dates, versions, permissions,
    /// the type and shape in a header of equal size): the data themselves never change silently.
    @Test(arguments: ["zip64.npz", "streamed.npz", "commented.npz"])
    func everyChangedByteIsAnErrorOrHarmless(file: String) throws {
        let bytes = try Fixtures.bytes(file)
        let original = try contents(bytes)
        for position in bytes.indices {
            for flip: UInt8 in [0x01, 0x80, 0xFF] {
                var changed = bytes
                changed[position] ^= flip
                do {
                    for (name, array) in try contents(changed) {
                        guard let before = original[name] else { continue }
                        #expect(array == before, "byte \(position) ^ \(flip)")
                    }
                } catch is DatasetError {}
            }
        }
    }

    private func contents(_ bytes: [UInt8]) throws -> [String: NumpyArray] {
        let archive = try NumpyArchive(bytes: bytes, path: "changed.npz")
        var arrays: [String: NumpyArray] = [:]
        for name in archive.names { arrays[name] = try archive.array(named: name) }
        return arrays
    }
}
