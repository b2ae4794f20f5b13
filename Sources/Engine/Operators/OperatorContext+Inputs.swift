internal import ComputationGraph
internal import ONNX
internal import Torch

/// Reads the integers in one input slot; `nil` where the optional input is left out.
typealias IntegerReader = ([Tensor?]) throws -> [Int]?

extension OperatorContext {
    /// An error that says which variant of the operator the engine does not have.
    func unsupported(_ variant: String) -> EngineError {
        .unsupported(index: vertex.index, name: vertex.name, operation: "\(vertex.operation) \(variant)")
    }

    /// A reader of the integers in `slot`: a constant is read once, here; anything else on every run.
    ///
    /// - Parameter areTyped: whether the standard wants them in a type of whole numbers.
    func integers(in slot: Int, areTyped: Bool = true) throws -> IntegerReader {
        if areTyped { try requireIntegers(slot) }
        if let constant = constants[slot] {
            let values = try constant.elements(as: Int.self)
            return { _ in values }
        }
        return { inputs in
            guard slot < inputs.count, let tensor = inputs[slot] else { return nil }
            return try tensor.elements(as: Int.self)
        }
    }

    /// A reader of the real numbers in `slot`, in double precision. For arguments such as scales, never for data.
    func reals(in slot: Int) throws -> ([Tensor?]) throws -> [Double]? {
        if let constant = constants[slot] {
            let values = try constant.elements(as: Double.self)
            return { _ in values }
        }
        return { inputs in
            guard slot < inputs.count, let tensor = inputs[slot] else { return nil }
            return try tensor.elements(as: Double.self)
        }
    }

    /// The attribute `name`, which has to be one of the cases of `Choice`.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ name: String, default value: Choice
    ) throws -> Choice where Choice.RawValue == String {
        let text = try node.string(name, default: value.rawValue)
        guard let choice = Choice(rawValue: text) else {
            let known = Choice.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            throw error("attribute \(name) is '\(text)', which is none of \(known)")
        }
        return choice
    }

    /// The attribute `name`, 0 or 1.
    func flag(_ name: String, default value: Bool = false) throws -> Bool {
        let number = try node.int(name, default: value ? 1 : 0)
        guard number == 0 || number == 1 else {
            throw error("attribute \(name) is \(number), neither 0 nor 1")
        }
        return number == 1
    }
}
