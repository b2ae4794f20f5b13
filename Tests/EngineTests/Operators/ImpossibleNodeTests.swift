import ONNX
import Testing
import Torch

@testable import Engine

/// Nodes and data that no exporter writes: they must be refused, never end the process.
@Suite struct ImpossibleNodeTests {
    private let vector: Tensor
    private let scalar: Tensor

    init() throws {
        vector = try Tensor([1, 2, 3] as [Float])
        scalar = try Tensor(scalar: Float(1))
    }

    @Test(arguments: [[Int.max, Int.max], [Int.max, -1], [-1, -1], [-2, -2], [0, 0], [1 << 62, 4]])
    func shapesBeyondCountingAreRefused(shape: [Int]) throws {
        #expect(throws: EngineError.self) { try OneNode(operation: "Reshape")(vector, Tensor(shape)) }
    }

    @Test(arguments: [Int.max, Int.min, 1 << 40]) func absurdMarginsAreRefused(size: Int) throws {
        for mode in ["constant", "edge", "wrap", "reflect"] {
            let node = OneNode(operation: "Pad", version: 19, attributes: [.init(name: "mode", string: mode)])
            #expect(throws: EngineError.self) { try node(vector, Tensor([size, 0])) }
        }
    }

    @Test func dimensionsThatAreNotThereAreRefused() throws {
        #expect(throws: (any Error).self) { try OneNode(operation: "Gather")(scalar, Tensor([0])) }
        #expect(throws: (any Error).self) {
            try OneNode(operation: "Gather", constants: [1])(scalar, Tensor([0], shape: [1, 1]))
        }
        #expect(throws: (any Error).self) { try OneNode(operation: "Pad")(scalar, Tensor([1, 1])) }
        #expect(throws: (any Error).self) {
            try OneNode(operation: "QuantizeLinear")(scalar, Tensor([1, 2] as [Float]))
        }
        #expect(throws: (any Error).self) {
            try OneNode(operation: "ReduceSum")(vector, Tensor([Int.min]))
        }
        #expect(throws: (any Error).self) { try OneNode(operation: "Squeeze")(vector, Tensor([0, 0])) }
    }

    @Test func rangesWithoutEndAreRefused() throws {
        #expect(throws: EngineError.self) {
            try OneNode(operation: "Range")(
                Tensor(scalar: Int.min), Tensor(scalar: Int.max), Tensor(scalar: 1))
        }
        #expect(throws: EngineError.self) {
            try OneNode(operation: "Range")(scalar, Tensor(scalar: Float.infinity), scalar)
        }
        #expect(throws: EngineError.self) {
            try OneNode(operation: "Range")(Tensor(scalar: 0), Tensor(scalar: 1), Tensor(scalar: 0))
        }
    }

    @Test func partsThatDoNotAddUpAreRefused() throws {
        #expect(throws: EngineError.self) {
            try OneNode(operation: "Split", outputs: 2)(vector, Tensor([Int.max, Int.max]))
        }
        let attribute = AttributeProto(name: "num_outputs", int: Int.max)
        #expect(throws: EngineError.self) {
            try OneNode(operation: "Split", version: 18, attributes: [attribute], outputs: 2)(vector)
        }
    }

    @Test func indicesOutsideAreRefused() throws {
        #expect(throws: (any Error).self) { try OneNode(operation: "Gather")(vector, Tensor([3])) }
        #expect(throws: (any Error).self) {
            try OneNode(operation: "ScatterND")(
                Tensor([] as [Float], shape: [0, 3]), Tensor([0], shape: [1, 1]),
                Tensor([1, 2, 3] as [Float], shape: [1, 3]))
        }
        #expect(throws: (any Error).self) {
            try OneNode(operation: "DepthToSpace", attributes: [.init(name: "blocksize", int: Int.max)])(
                Tensor([1] as [Float], shape: [1, 1, 1, 1]))
        }
    }

    @Test func missingInputsAreNamed() throws {
        #expect { try OneNode(operation: "Add")(vector, nil) } throws: {
            "\($0)".contains("input 1 is missing")
        }
    }

    @Test func memoryThatIsNotToBeHadIsAnErrorOfItsOwn() throws {
        // A view of one stored element, 2^60 bytes if it were written out.
        let wide = try vector.narrowed(0, from: 0, length: 1).expanded([1 << 58])
        let error = #expect(throws: EngineError.self) { try OneNode(operation: "Add")(wide, wide) }
        #expect(error?.isOutOfMemory == true)
        let other = #expect(throws: EngineError.self) {
            try OneNode(operation: "Add")(vector, Tensor([1, 2] as [Float]))
        }
        #expect(other?.isOutOfMemory == false)
    }
}
