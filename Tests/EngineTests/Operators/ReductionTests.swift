import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct ReductionTests {
    @Test func sumsOfWholeNumbersKeepTheirType() throws {
        // ONNX's table of types: the output has the input's.
        let sums = try OneNode(operation: "ReduceSum", constants: [1])(
            Tensor([1, 2, 3, 4] as [Int32], shape: [2, 2]), Tensor([-1]))
        #expect(sums[0].scalarType == .int32)
        #expect(sums[0].shape == [2, 1])
        #expect(try first(sums) == [3, 7] as [Int32])
    }

    @Test func axesAreAnAttributeInOlderOpsets() throws {
        // NumPy: np.max([[1, 5], [7, 3]], axis=0).
        let attributes = [AttributeProto(name: "axes", ints: [0]), AttributeProto(name: "keepdims", int: 0)]
        let largest = try OneNode(operation: "ReduceMax", version: 13, attributes: attributes)(
            Tensor([1, 5, 7, 3] as [Float], shape: [2, 2]))
        #expect(try first(largest) == [7, 5] as [Float])
    }

    @Test func withoutAxesEverythingIsReducedUnlessTheNodeSaysNot() throws {
        let numbers = try Tensor([1, 2, 3] as [Float])
        let none = try Tensor([] as [Int])
        #expect(try first(OneNode(operation: "ReduceSum")(numbers, none)) == [6] as [Float])
        let attribute = AttributeProto(name: "noop_with_empty_axes", int: 1)
        #expect(
            try first(OneNode(operation: "ReduceSum", attributes: [attribute])(numbers, none)) == [1, 2, 3]
                as [Float])
    }

    @Test(arguments: [
        ("ReduceSum", Float(0)), ("ReduceProd", 1), ("ReduceMax", -.infinity), ("ReduceMin", .infinity),
        ("ReduceLogSumExp", -.infinity), ("ReduceL2", 0),
    ])
    func nothingReducesToTheNeutralElement(operation: String, neutral: Float) throws {
        // ONNX's test_reduce_*_empty_set, opset 20.
        let empty = try Tensor([] as [Float], shape: [2, 0])
        #expect(
            try first(OneNode(operation: operation, version: 20)(empty, Tensor([1]))) == [neutral, neutral])
    }

    @Test func theLastOfEqualLargestIsFoundOnRequest() throws {
        // ONNX's test_argmax_default_axis_example_select_last_index.
        let numbers = try Tensor([2, 2, 3, 10] as [Float], shape: [2, 2])
        #expect(
            try first(OneNode(operation: "ArgMax", attributes: [.init(name: "axis", int: 1)])(numbers)) == [
                0, 1,
            ])
        let attributes = [
            AttributeProto(name: "axis", int: 1), AttributeProto(name: "select_last_index", int: 1),
        ]
        #expect(try first(OneNode(operation: "ArgMax", attributes: attributes)(numbers)) == [1, 1])
    }

    @Test func equalLargestComeInTheirOrder() throws {
        // ONNX's TopK: "given two equivalent values, the element with the lower index appears first".
        let best = try OneNode(operation: "TopK", outputs: 2)(
            Tensor([1, 3, 3, 2, 3] as [Float]), Tensor([2]))
        #expect(try best[0].elements() == [3, 3] as [Float])
        #expect(try best[1].elements() == [1, 2] as [Int])
    }

    @Test func olderSoftmaxTreatsTrailingDimensionsAsOne() throws {
        // By definition: e^x / Σ e^x over the four equal elements of each flattened row.
        let zeros = try Tensor([Float](repeating: 0, count: 8), shape: [2, 2, 2])
        #expect(
            try first(OneNode(operation: "Softmax", version: 11)(zeros)) == [Float](repeating: 0.25, count: 8)
        )
        #expect(
            try first(OneNode(operation: "Softmax", version: 13)(zeros)) == [Float](repeating: 0.5, count: 8))
    }

    @Test func runningSumsCanStartAtZeroAndGoBackwards() throws {
        // ONNX's CumSum documentation: exclusive and reverse of [1, 2, 3] is [5, 3, 0].
        let attributes = [AttributeProto(name: "exclusive", int: 1), AttributeProto(name: "reverse", int: 1)]
        let sums = try OneNode(operation: "CumSum", attributes: attributes)(
            Tensor([1, 2, 3] as [Float]), Tensor(scalar: 0))
        #expect(try first(sums) == [5, 3, 0] as [Float])
    }
}
