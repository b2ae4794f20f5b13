import Foundation
import ONNX
import Testing

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014): one seed, one run.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("Mutated files throw or are read, and never trap", .timeLimit(.minutes(3)))
struct MutationTests {
    static let fixtures = ["encodings", "sparse", "subgraphs", "functions", "unknown-fields", "external"]

    @Test("with bytes changed, cut out, doubled or moved", arguments: fixtures)
    func mutations(_ name: String) throws {
        let original = try Fixtures.data(name + ".onnx")
        // encodings.onnx takes longest, and most of its bytes are weights.
        let count = name == "encodings" ? 500 : 3000
        var read = 0
        for seed in 0..<count {
            var generator = SplitMix64(state: UInt64(seed))
            let bytes = mutated(original, &generator)
            guard
                let file = try? ModelFile(
                    serializedBytes: bytes, folder: Fixtures.folder.path(percentEncoded: false))
            else { continue }
            read += 1
            // What was accepted can be used and written.
            for tensor in file.model.graph.initializer {
                let data = try TensorData(tensor)
                _ = try? data.floats
                _ = try? data.int64s
            }
            #expect(try file.topologicalOrder().count == file.model.graph.node.count)
            _ = try file.serialized()
        }
        #expect(read > 0 && read < count)
    }

    private func mutated(_ original: Data, _ generator: inout SplitMix64) -> Data {
        var bytes = [UInt8](original)
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            let end = min(bytes.count, at + Int.random(in: 1...16, using: &generator))
            switch Int.random(in: 0..<7, using: &generator) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            case 2: bytes[at] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &generator) ?? 0
            case 3: bytes.removeSubrange(at..<end)
            case 4: bytes.insert(contentsOf: bytes[at..<end], at: at)
            case 5:
                bytes.replaceSubrange(
                    at..<end, with: [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F].prefix(end - at))
            default: bytes.swapAt(at, Int.random(in: 0..<bytes.count, using: &generator))
            }
        }
        return Data(bytes)
    }
}
