import Testing
import Torch

@Suite("Operators on several threads")
struct ThreadTests {
    /// OpenBLAS's serial build shares scratch memory among threads; two products at once came out wrong.
    @Test("don't disturb each other's numbers")
    func productsAtOnce() async throws {
        let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<4 {
                group.addTask {
                    let product = Operation("aten::mm")
                    let left = try Tensor(
                        (0..<96 * 96).map { Float(($0 * (task + 3)) % 17) }, shape: [96, 96])
                    // Sums of 96 products of integers below 17: exact in float32, whatever the order.
                    let expected = try exactSquare(left.elements(), size: 96)
                    var wrong = 0
                    for _ in 0..<1500 {
                        if try product(.tensor(left), .tensor(left)).elements(as: Float.self) != expected {
                            wrong += 1
                        }
                    }
                    return wrong
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}

/// The matrix product with itself, written out.
private func exactSquare(_ matrix: [Float], size: Int) throws -> [Float] {
    var result = [Float](repeating: 0, count: size * size)
    for row in 0..<size {
        for inner in 0..<size {
            let factor = matrix[row * size + inner]
            for column in 0..<size { result[row * size + column] += factor * matrix[inner * size + column] }
        }
    }
    return result
}
