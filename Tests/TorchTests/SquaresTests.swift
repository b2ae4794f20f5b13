import Testing
import Torch

@Suite("Sums of squares")
struct SquaresTests {
    /// X = [1 2; 3 4; 5 6] has XᵀX = [35 44; 44 56], and X = [1 0; 2 −1] has [5 −2; −2 1].
    @Test("are added to the upper halves, group by group, and mirrored")
    func addsAndMirrors() throws {
        let sums = try Tensor([1.0, 2, 0, 3, 0, 0, 0, 0], shape: [2, 2, 2])
        let first = try Tensor([1.0, 2, 3, 4, 5, 6, 1, 0, 2, -1, 0, 0], shape: [2, 3, 2])
        try Operation("espalier::add_squares")(.tensor(sums), .tensor(first))
        let whole = try Operation("espalier::mirrored")(.tensor(sums))
        #expect(try whole.elements(as: Double.self) == [36, 46, 46, 59, 5, -2, -2, 1])
        // Sums of halves are mirrored, and no rows add nothing.
        let none = try Operation("aten::narrow")(.tensor(first), 1, 0, 0)
        try Operation("espalier::add_squares")(.tensor(sums), .tensor(none))
        #expect(
            try Operation("espalier::mirrored")(.tensor(sums)).elements(as: Double.self)
                == whole.elements(as: Double.self))
    }

    /// Rows that lie apart, more columns than fit into one tile: against libtorch's matrix product.
    @Test("agree with a matrix product where rows are part of others")
    func agreesWithAProduct() throws {
        let (count, size) = (90, 70)
        let numbers = (0..<3 * count * size).map { Double(($0 * 7919) % 101) - 50 }
        let all = try Tensor(numbers, shape: [3, count, size])
        let rows = try Operation("aten::narrow")(.tensor(all), 1, 10, 60)
        let sums = try Tensor([Double](repeating: 0, count: 3 * size * size), shape: [3, size, size])
        try Operation("espalier::add_squares")(.tensor(sums), .tensor(rows))
        let found = try Operation("espalier::mirrored")(.tensor(sums)).elements(as: Double.self)
        let turned = try Operation("aten::transpose.int")(.tensor(rows), 1, 2)
        // Integers: exact in any order.
        #expect(
            try found == Operation("aten::matmul")(.tensor(turned), .tensor(rows)).elements(as: Double.self))
    }

    @Test("of other shapes or types are refused")
    func refusesOthers() throws {
        let rows = try Tensor([1.0, 2], shape: [1, 1, 2])
        for sums in [
            try Tensor([Double](repeating: 0, count: 9), shape: [1, 3, 3]),
            try Tensor([Float](repeating: 0, count: 4), shape: [1, 2, 2]),
        ] {
            #expect(throws: TorchError.self) {
                try Operation("espalier::add_squares")(.tensor(sums), .tensor(rows))
            }
        }
    }
}
