import ONNX
import Testing
import Torch

@testable import ComputationGraph
@testable import Engine

/// What the axis maps say is held against the kernels: an input is changed at one position of one axis, and the outputs that
/// change have to be those that read it.
@Suite("Axis maps of the kernels") struct KernelAxisMapTests {
    /// A node and the shapes of its inputs.
    struct Case: Sendable, CustomStringConvertible {
        let operation: String
        let inputs: [[Int]]
        var attributes: [AttributeProto] = []
        var outputs = 1
        var version = 18
        /// The whole numbers in some of the slots.
        var integers: [Int: [Int]] = [:]
        var description: String { "\(operation) \(inputs)" }
    }

    /// What a kernel gave.
    private struct Output {
        let shape: [Int]
        let elements: [Float]

        /// The positions along an axis at which some element is another than before.
        func changes(since before: Output, along axis: Int) -> Set<Int> {
            let outer = shape[(axis + 1)...].reduce(1, *)
            var changed: Set<Int> = []
            for index in elements.indices where elements[index] != before.elements[index] {
                changed.insert(index / outer % shape[axis])
            }
            return changed
        }
    }

    private static func int(_ name: String, _ value: Int) -> AttributeProto { .init(name: name, int: value) }

    static let cases = [
        Case(operation: "Add", inputs: [[2, 3, 4], [3, 1]]),
        Case(operation: "Mul", inputs: [[1, 4], [3, 1]]),
        Case(operation: "Softplus", inputs: [[2, 3]]),
        Case(operation: "Conv", inputs: [[2, 4, 5, 4], [6, 2, 3, 2], [6]], attributes: [int("group", 2)]),
        Case(operation: "Conv", inputs: [[1, 3, 4, 4], [3, 1, 2, 2]], attributes: [int("group", 3)]),
        Case(operation: "Conv", inputs: [[2, 3, 6], [4, 3, 2], [4]]),
        Case(
            operation: "ConvTranspose", inputs: [[1, 4, 3, 3], [4, 3, 2, 2]], attributes: [int("group", 2)]),
        Case(operation: "MatMul", inputs: [[2, 1, 3, 4], [5, 4, 2]]),
        Case(operation: "MatMul", inputs: [[4], [2, 4, 3]]),
        Case(operation: "GatherND", inputs: [[5, 4, 3], [2, 2, 1]], integers: [1: [0, 4, 2, 1]]),
        Case(
            operation: "GatherND", inputs: [[2, 4, 3], [2, 3, 1]], attributes: [int("batch_dims", 1)],
            integers: [1: [0, 3, 2, 1, 1, 0]]),
        Case(
            operation: "GatherElements", inputs: [[3, 4], [3, 2]], attributes: [int("axis", 1)],
            integers: [1: [0, 3, 2, 1, 1, 0]]),
        Case(operation: "Col2Im", inputs: [[2, 12, 6], [2], [2]], integers: [1: [3, 4], 2: [2, 2]]),
        Case(
            operation: "Gemm", inputs: [[3, 2], [4, 3], [4]],
            attributes: [int("transA", 1), int("transB", 1)]),
        Case(
            operation: "Einsum", inputs: [[2, 3, 4], [2, 5, 4]],
            attributes: [.init(name: "equation", string: "bik,bjk->bji")]),
        Case(
            operation: "Transpose", inputs: [[2, 3, 4]], attributes: [.init(name: "perm", ints: [2, 0, 1])]),
        Case(operation: "Reshape", inputs: [[2, 6, 2], [3]], integers: [1: [4, 3, 2]]),
        Case(operation: "Reshape", inputs: [[4, 6], [2]], integers: [1: [6, 4]]),
        Case(operation: "Flatten", inputs: [[2, 3, 2]]),
        Case(operation: "Unsqueeze", inputs: [[2, 3], [1]], integers: [1: [1]]),
        Case(operation: "Expand", inputs: [[3, 1], [3]], integers: [1: [2, 3, 4]]),
        Case(operation: "Tile", inputs: [[2, 3], [2]], integers: [1: [2, 3]]),
        Case(operation: "Concat", inputs: [[2, 2], [2, 1], [2, 3]], attributes: [int("axis", -1)]),
        Case(
            operation: "Split", inputs: [[2, 6], [3]], attributes: [int("axis", 1)], outputs: 3,
            integers: [1: [1, 2, 3]]),
        Case(
            operation: "Slice", inputs: [[4, 5], [2], [2], [2]],
            integers: [1: [1, -3], 2: [9, -1], 3: [0, 1]]),
        Case(
            operation: "Slice", inputs: [[4, 5], [1], [1], [1], [1]],
            integers: [1: [0], 2: [5], 3: [1], 4: [2]]),
        Case(
            operation: "Gather", inputs: [[3, 4, 2], [2, 3]], attributes: [int("axis", 1)],
            integers: [1: [0, 3, 1, 1, 2, 0]]),
        Case(operation: "DepthToSpace", inputs: [[2, 8, 2, 3]], attributes: [int("blocksize", 2)]),
        Case(
            operation: "DepthToSpace", inputs: [[1, 12, 2, 3]],
            attributes: [int("blocksize", 2), .init(name: "mode", string: "CRD")]),
        Case(operation: "SpaceToDepth", inputs: [[1, 3, 4, 6]], attributes: [int("blocksize", 2)]),
        Case(operation: "BatchNormalization", inputs: [[2, 3, 4], [3], [3], [3], [3]]),
        Case(operation: "InstanceNormalization", inputs: [[2, 3, 4], [3], [3]]),
        Case(operation: "LayerNormalization", inputs: [[2, 3, 4], [4], [4]]),
        Case(operation: "RMSNormalization", inputs: [[2, 3, 4], [4]], version: 23),
        Case(
            operation: "GroupNormalization", inputs: [[2, 4, 3], [4], [4]],
            attributes: [int("num_groups", 2)],
            version: 21),
        Case(operation: "Softmax", inputs: [[2, 3, 4]], attributes: [int("axis", 1)]),
        Case(operation: "Softmax", inputs: [[2, 3, 4]], attributes: [int("axis", 1)], version: 11),
        Case(operation: "LRN", inputs: [[1, 5, 2, 2]], attributes: [int("size", 3)]),
        Case(
            operation: "ReduceSum", inputs: [[2, 3, 4], [1]], attributes: [int("keepdims", 0)],
            integers: [1: [1]]),
        Case(
            operation: "ReduceMean", inputs: [[2, 3, 4]], attributes: [.init(name: "axes", ints: [0, -1])],
            version: 13),
        Case(
            operation: "AveragePool", inputs: [[2, 3, 4, 4]],
            attributes: [.init(name: "kernel_shape", ints: [2, 2])]),
        Case(operation: "GlobalAveragePool", inputs: [[2, 3, 4, 4]]),
        Case(
            operation: "Attention", inputs: [[2, 4, 3, 2], [2, 2, 5, 2], [2, 2, 5, 3], [3, 5]], version: 23),
        Case(
            operation: "Attention", inputs: [[1, 3, 8], [1, 5, 4], [1, 5, 6]],
            attributes: [int("q_num_heads", 4), int("kv_num_heads", 2)], version: 23),
    ]

    @Test("an input that is changed at one position changes the outputs that read it", arguments: cases)
    func changes(_ node: Case) throws {
        let run = OneNode(
            operation: node.operation, version: node.version, attributes: node.attributes,
            outputs: node.outputs)
        let numbers = node.inputs.indices.map { slot -> [Float] in
            // Between 0.5 and 1.5, no two neighbours alike.
            let count = node.inputs[slot].reduce(1, *)
            return (0..<count).map { index -> Float in
                let step = (index * 37 + slot * 11) % 101
                return 0.5 + Float(step) / 101
            }
        }
        func outputs(_ numbers: [[Float]]) throws -> [Output] {
            var tensors: [Tensor] = []
            for (slot, shape) in node.inputs.enumerated() {
                if let whole = node.integers[slot] {
                    tensors.append(try Tensor(whole.map(Int64.init)).reshaped(shape))
                } else {
                    tensors.append(try Tensor(numbers[slot]).reshaped(shape))
                }
            }
            return try run(inputs: tensors).prefix(node.outputs).map { tensor in
                Output(shape: tensor.shape, elements: try tensor.elements(as: Float.self))
            }
        }
        let before = try outputs(numbers)
        var proto = NodeProto(node.operation, inputs: [], outputs: [], attributes: node.attributes)
        proto.input = node.inputs.indices.map { "i\($0)" }
        let vertex = Vertex(
            index: 0, node: proto, version: node.version, inputs: Array(node.inputs.indices),
            outputs: before.indices.map { node.inputs.count + $0 }, captured: [])
        let query = AxisQuery(
            vertex: vertex, inputs: node.inputs, outputs: before.map { $0.shape },
            integers: { node.integers[$0] })
        let rule = try #require(vertex.facts.axes)
        let map = try #require(try rule(query))
        var compared = 0
        for (slot, shape) in node.inputs.enumerated() where node.integers[slot] == nil {
            let axes = try #require(map.inputs[slot], "slot \(slot)")
            for (axis, size) in shape.enumerated() {
                for position in 0..<size {
                    var changed = numbers
                    let inner = shape[(axis + 1)...].reduce(1, *)
                    for index in changed[slot].indices where index / inner % size == position {
                        changed[slot][index] += 0.37 + Float(index % 7) / 16
                    }
                    for (output, after) in try outputs(changed).enumerated() {
                        let written = try #require(map.outputs[output])
                        for outputAxis in after.shape.indices {
                            let seen = after.changes(since: before[output], along: outputAxis)
                            var told: Set<Int> = []
                            for target in 0..<after.shape[outputAxis] {
                                let read = map.positions(
                                    alongInput: slot, axis: axis, readByOutput: output, axis: outputAxis,
                                    at: target)
                                if try #require(read).contains(position) { told.insert(target) }
                            }
                            let place = "slot \(slot) axis \(axis), output \(output) axis \(outputAxis)"
                            #expect(seen.isSubset(of: told), "\(place)")
                            if map.isExact(axes[axis]), map.isExact(written[outputAxis]) {
                                #expect(seen == told, "\(place)")
                            }
                            compared += 1
                        }
                    }
                }
            }
        }
        #expect(compared > 0)
    }
}
