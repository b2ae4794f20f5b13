import Testing
import Torch

@testable import Engine

private let multiplyStacks = Operation("espalier::multiply_stacks")
private let gelu = Operation("espalier::gelu")
private let layerNorm = Operation("espalier::layer_norm")

/// Numbers that follow no pattern, between -2 and 2.
private func numbers(_ count: Int, seed: Int) -> [Float] {
    (0..<count).map { Float((($0 + 1) * (seed * 7919 + 104_729)) % 4001) / 1000 - 2 }
}

@Suite("Products of stacks of matrices")
struct StackOperatorTests {
    /// Two stacks of 2 · 3 matrices, each in a layout of its own, multiplied element by element in double precision.
    @Test(
        "are the sums of products however the matrices lie",
        arguments: [[0, 1, 2, 3], [0, 2, 1, 3], [0, 2, 3, 1], [1, 0, 3, 2], [3, 2, 1, 0]],
        [[0, 1, 2, 3], [0, 2, 1, 3], [0, 1, 3, 2], [2, 3, 0, 1]])
    func layouts(left: [Int], right: [Int]) throws {
        for (rows, inner, columns) in [(4, 5, 6), (1, 7, 3), (16, 1, 1), (33, 40, 17)] {
            func stack(_ shape: [Int], order: [Int], seed: Int) throws -> Tensor {
                // Laid out so that the dimensions in `order` give the shape.
                var stored = shape
                for (place, dimension) in order.enumerated() { stored[dimension] = shape[place] }
                return try Tensor(numbers(shape.reduce(1, *), seed: seed), shape: stored).permuted(order)
            }
            let a = try stack([2, 3, rows, inner], order: left, seed: 1)
            let b = try stack([2, 3, inner, columns], order: right, seed: 2)
            let (x, y): ([Float], [Float]) = (try a.elements(), try b.elements())
            for swapped in [false, true] {
                let product = try multiplyStacks(.tensor(a), .tensor(b), .double(0.5), .bool(swapped))
                #expect(product.shape == (swapped ? [2, rows, 3, columns] : [2, 3, rows, columns]))
                #expect(product.isContiguous)
                let found: [Float] = try (swapped ? product.transposed(1, 2) : product).elements()
                for index in found.indices {
                    let (matrix, row, column) = (
                        index / (rows * columns), index / columns % rows, index % columns
                    )
                    let sum = (0..<inner).reduce(0.0) {
                        $0 + Double(x[(matrix * rows + row) * inner + $1])
                            * Double(y[(matrix * inner + $1) * columns + column])
                    }
                    #expect(abs(Double(found[index]) - sum / 2) <= 1e-5)
                }
            }
        }
    }

    @Test("read zeros that stand for a removed edge, and sums of nothing")
    func zeros() throws {
        let zeros = try Tensor(scalar: Float(0)).expanded([2, 3, 4])
        let ones = try Tensor([Float](repeating: 1, count: 24), shape: [2, 4, 3])
        let product = try multiplyStacks(.tensor(zeros), .tensor(ones), 1.0, false)
        #expect(try product.elements() == [Float](repeating: 0, count: 18))
        let (left, right) = (
            try Tensor([Float](), shape: [2, 3, 0]), try Tensor([Float](), shape: [2, 0, 4])
        )
        let nothing = try multiplyStacks(.tensor(left), .tensor(right), 1.0, false)
        #expect(try nothing.elements() == [Float](repeating: 0, count: 24))
        #expect(try multiplyStacks(.tensor(right), .tensor(right.transposed(1, 2)), 1.0, false).count == 0)
    }

    @Test("are refused where the sizes do not fit")
    func misfits() throws {
        let ones = try Tensor([Float](repeating: 1, count: 24), shape: [2, 4, 3])
        #expect(throws: TorchError.self) { try multiplyStacks(.tensor(ones), .tensor(ones), 1.0, false) }
        let other = try Tensor([Float](repeating: 1, count: 36), shape: [4, 3, 3])
        #expect(throws: TorchError.self) { try multiplyStacks(.tensor(ones), .tensor(other), 1.0, false) }
    }
}

@Suite("Elementwise and row-wise operators")
struct RowOperatorTests {
    /// x · Φ(x) from mpmath, to all digits.
    private let known: [(Float, Double)] = [
        (-7, -8.958687807200846e-12), (-5, -1.4332578593959695e-06), (-3, -0.0040496940948902835),
        (-1, -0.15865525393145705), (-0.25, -0.10032341857926907), (-0.001, -0.000499601057786089), (0, 0),
        (1e-06, 5.000003989422804e-07), (0.1, 0.053982783727702904), (0.5, 0.34573123063700656),
        (1, 0.8413447460685429), (2, 1.9544997361036416), (4, 3.9998733150326675), (5.5, 5.499999895557407),
        (6.5, 6.49999999973896), (30, 30),
    ]

    @Test("GELU is x times the normal distribution, wherever an element lies")
    func gelus() throws {
        for offset in 0..<17 {
            let inputs = [Float](repeating: 0.5, count: offset) + known.map(\.0)
            let values: [Float] = try gelu(.tensor(Tensor(inputs))).elements()
            for (value, expected) in zip(values.dropFirst(offset), known.map(\.1)) {
                #expect(abs(Double(value) - expected) <= 1e-8 + 3e-7 * abs(expected))
            }
            #expect(Set(values.prefix(offset) + [values[offset + 9]]).count == 1)
        }
    }

    @Test("GELU leaves what is no number, and infinity")
    func extremes() throws {
        let values: [Float] = try gelu(.tensor(Tensor([.nan, .infinity, -.infinity] as [Float]))).elements()
        #expect(values[0].isNaN)
        #expect(values[1] == .infinity)
        #expect(abs(values[2]) <= 1e-8)
    }

    @Test(
        "layer norm has mean 0 and variance 1 before scale and bias", arguments: [1, 3, 15, 16, 17, 64, 77])
    func normalization(columns: Int) throws {
        let rows = 5
        let (x, scale, bias) = (
            numbers(rows * columns, seed: 3), numbers(columns, seed: 4), numbers(columns, seed: 5)
        )
        // Columns first in memory: rows are gathered.
        let input = try Tensor(x, shape: [columns, rows]).transposed(0, 1)
        let found: [Float] = try layerNorm(
            .tensor(input), .tensor(Tensor(scale)), .tensor(Tensor(bias)), 0.01
        ).elements()
        for row in 0..<rows {
            let values = (0..<columns).map { Double(x[$0 * rows + row]) }
            let mean = values.reduce(0, +) / Double(columns)
            let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(columns)
            for column in 0..<columns {
                let expected =
                    (values[column] - mean) / (variance + 0.01).squareRoot() * Double(scale[column])
                    + Double(bias[column])
                #expect(abs(Double(found[row * columns + column]) - expected) <= 2e-6 * max(1, abs(expected)))
            }
        }
    }
}
