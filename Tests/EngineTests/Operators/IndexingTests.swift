import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct IndexingTests {
    private func counting(_ shape: Int...) throws -> Tensor {
        try Tensor((0..<shape.reduce(1, *)).map { Float($0) }, shape: shape)
    }

    @Test func reshapeCopiesAndInfersSizes() throws {
        // ONNX's test_reshape_zero_and_negative_dim.
        let node = OneNode(operation: "Reshape", constants: [1])
        #expect(try node(counting(2, 3, 4), Tensor([2, 0, 1, -1]))[0].shape == [2, 3, 1, 4])
    }

    @Test func aReshapeThatDoesNotFitIsAnErrorWithBothShapes() throws {
        #expect {
            try OneNode(operation: "Reshape")(try counting(2, 3), try Tensor([4, -1]))
        } throws: {
            "\($0)".contains("[2, 3]") && "\($0)".contains("[4, 1]")
        }
    }

    @Test(arguments: [
        // NumPy: np.arange(5)[start:end:step].
        (4, -6, -1, [4, 3, 2, 1, 0]), (-1, 0, -2, [4, 2]), (1, Int.max, 2, [1, 3]),
        (Int.max, Int.min, -3, [4, 1]),
        (3, 1, 1, []), (-100, 2, 1, [0, 1]),
    ])
    func slicesFollowNumPy(start: Int, end: Int, step: Int, expected: [Int]) throws {
        let sliced = try OneNode(operation: "Slice")(
            Tensor(Array(0..<5)), Tensor([start]), Tensor([end]), Tensor([0]), Tensor([step]))
        #expect(try first(sliced) == expected)
    }

    @Test(arguments: [Set<Int>(), [1]]) func gatherCountsNegativeIndicesFromTheEnd(constants: Set<Int>) throws
    {
        // NumPy: np.arange(6).reshape(3, 2)[[-1, 0]].
        let gathered = try OneNode(operation: "Gather", constants: constants)(
            counting(3, 2), Tensor([-1, 0]))
        #expect(try first(gathered) == [4, 5, 0, 1] as [Float])
    }

    @Test(arguments: [Set<Int>(), [1]]) func gatheredIndicesReplaceTheDimension(constants: Set<Int>) throws {
        // NumPy: np.take(np.zeros((4, 3, 9)), np.zeros((2, 5), int), axis=1).shape.
        let node = OneNode(
            operation: "Gather", attributes: [.init(name: "axis", int: 1)], constants: constants)
        let indices = try Tensor([Int](repeating: 2, count: 10), shape: [2, 5])
        #expect(try node(counting(4, 3, 9), indices)[0].shape == [4, 2, 5, 9])
    }

    @Test func tuplesWithinABatchReadTheirOwnEntry() throws {
        // ONNX's test_gather_nd_example_int32_batch_dim1.
        let data = try Tensor([0, 1, 2, 3, 4, 5, 6, 7] as [Int32], shape: [2, 2, 2])
        let node = OneNode(operation: "GatherND", attributes: [.init(name: "batch_dims", int: 1)])
        #expect(try first(node(data, Tensor([1, 0], shape: [2, 1]))) == [2, 3, 4, 5] as [Int32])
    }

    @Test func scatteringCombinesRepeatedIndices() throws {
        // ONNX's test_scatter_elements_with_duplicate_indices.
        let attributes = [
            AttributeProto(name: "axis", int: 1), AttributeProto(name: "reduction", string: "add"),
        ]
        let scattered = try OneNode(operation: "ScatterElements", version: 18, attributes: attributes)(
            Tensor([1, 2, 3, 4, 5] as [Float], shape: [1, 5]), Tensor([1, 1], shape: [1, 2]),
            Tensor([1.1, 2.1] as [Float], shape: [1, 2]))
        #expect(try first(scattered) == [1, 5.2, 3, 4, 5] as [Float])
    }

    @Test func unevenPartsLeaveTheLastSmaller() throws {
        // ONNX's test_split_1d_uneven_split_opset18.
        let node = OneNode(
            operation: "Split", version: 18, attributes: [.init(name: "num_outputs", int: 4)], outputs: 4)
        #expect(try node(counting(7)).map(\.shape) == [[2], [2], [2], [1]])
    }

    @Test(arguments: [
        ("reflect", [2, 1, 0, 1, 2, 1]), ("edge", [0, 0, 0, 1, 2, 2]), ("wrap", [1, 2, 0, 1, 2, 0]),
    ])
    func marginsFollowNumPy(mode: String, expected: [Int]) throws {
        // NumPy: np.pad([0, 1, 2], (2, 1), mode).
        let node = OneNode(
            operation: "Pad", version: 19, attributes: [.init(name: "mode", string: mode)], constants: [1])
        #expect(try first(node(Tensor([0, 1, 2]), Tensor([2, 1]))) == expected)
    }

    @Test func uniqueElementsInOrderOfAppearance() throws {
        // ONNX's test_unique_not_sorted_without_axis.
        let node = OneNode(operation: "Unique", attributes: [.init(name: "sorted", int: 0)], outputs: 4)
        let found = try node(Tensor([2, 1, 1, 3, 4, 3] as [Float]))
        #expect(try found[0].elements() == [2, 1, 3, 4] as [Float])
        #expect(try found[1].elements() == [0, 1, 3, 4])
        #expect(try found[2].elements() == [0, 1, 1, 2, 3, 2])
        #expect(try found[3].elements() == [1, 2, 2, 1])
    }

    @Test func gradientsFlowThroughGatherPadAndClip() throws {
        // By hand: the sum of Clip(Pad(Gather(x, [1, 1])), 0, 5) counts x₁ twice where 0 < x₁ < 5.
        let input = try Tensor([7, 2, 9] as [Float])
        let gradient = try TorchRuntime.withGradients {
            try input.requireGradient()
            let gathered = try OneNode(operation: "Gather")(input, Tensor([1, 1]))[0]
            let padded = try OneNode(operation: "Pad")(gathered, Tensor([1, 1]))[0]
            let clipped = try OneNode(operation: "Clip")(
                padded, Tensor(scalar: Float(0)), Tensor(scalar: Float(5)))[0]
            let sum = try OneNode(
                operation: "ReduceSum", attributes: [.init(name: "keepdims", int: 0)])(clipped)[0]
            return try Tensor.gradients(of: [sum], withRespectTo: [input])[0]
        }
        #expect(try gradient?.elements() == [0, 2, 0] as [Float])
    }
}
