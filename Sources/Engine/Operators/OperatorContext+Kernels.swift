internal import ComputationGraph
internal import ONNX
internal import Torch

/// What most builders do with attributes and inputs.
extension OperatorContext {
    /// The tensor in a slot, when it is known before any data is.
    func constant(_ slot: Int) -> Tensor? { constants[slot] }

    /// The element type that the model gives an input slot.
    func inputType(_ slot: Int) -> ElementType? { slot < inputTypes.count ? inputTypes[slot] : nil }

    /// Refuses indices, sizes and axes that are not whole numbers, as the standard does.
    func requireIntegers(_ slot: Int) throws {
        guard let type = inputType(slot), type.isFloatingPoint || type == .bool else { return }
        throw error("input \(slot) is \(type.name), and has to be int32 or int64")
    }

    /// Whether the node fills an input slot at all.
    func has(input slot: Int) -> Bool { slot < vertex.inputs.count && vertex.inputs[slot] != nil }

    /// A reader of the integers of attribute `name`, which from opset `version` on are input `slot` instead.
    func integers(_ name: String, until version: Int, in slot: Int) throws -> IntegerReader {
        guard self.version < version else { return try integers(in: slot) }
        let values = try node.ints(name, default: nil)
        return { _ in values }
    }

    /// The dimension numbers in `0..<rank`, in ascending order; none for a tensor without dimensions.
    ///
    /// - Throws: `EngineError` for one that is outside, or named twice.
    func axes(_ axes: [Int], rank: Int) throws -> [Int] {
        if rank == 0 && axes.allSatisfy({ $0 == 0 || $0 == -1 }) { return [] }
        let resolved = try axes.map { try axis($0, rank: rank) }.sorted()
        for (left, right) in zip(resolved, resolved.dropFirst()) where left == right {
            throw error("axis \(left) is named twice")
        }
        return resolved
    }

    /// A float attribute as the double that libtorch takes.
    func number(_ name: String, default value: Float) throws -> Double {
        Double(try node.float(name, default: value))
    }

    /// A kernel of one input and one output.
    func map(_ body: @escaping (Tensor) throws -> Tensor) -> Kernel {
        { inputs in [try body(try required(inputs, 0))] }
    }

    /// A kernel of two inputs and one output.
    func map(_ body: @escaping (Tensor, Tensor) throws -> Tensor) -> Kernel {
        { inputs in [try body(try required(inputs, 0), try required(inputs, 1))] }
    }
}
