internal import ComputationGraph
public import Datasets
internal import ONNX
internal import Torch

extension Network {
    /// The shapes of all values, and the memory that a block takes.
    public struct Shapes: Sendable {
        /// The shape of every value, by index; `nil` where the value is not computed.
        public let values: [[Int]?]
        /// The shape of every model input.
        public let inputs: [[Int]]
        /// Bytes of all activations, if nothing is freed.
        public let activationBytes: Int
    }

    /// Runs the unpruned model once on some samples and reports the shapes it met.
    ///
    /// - Parameter memory: bytes that weights and values may take together while they are computed.
    /// - Throws: `EngineError` that names the first node that is not supported or does not fit.
    public func shapes(for dataset: Dataset, samples: [Int], memory: Int = .max) throws -> Shapes {
        try TorchRuntime.withMemory(atMost: memory) {
            try shapes(of: graph.inputs.map { try Tensor(dataset.gather(samples, from: $0.name)) })
        }
    }

    /// Runs the unpruned model once on made-up inputs (zeros) and reports the shapes it met.
    ///
    /// - Parameters:
    ///   - given: shapes for inputs by name; others are taken from the file.
    ///   - batch: the size of a symbolic first dimension.
    ///   - others: the size of any other symbolic dimension.
    public func shapes(given: [String: [Int]] = [:], batch: Int = 1, others: Int = 8) throws -> Shapes {
        let inputs = try graph.inputs.map { port in
            guard let type = ScalarType(holding: port.elementType) else {
                throw EngineError.data(
                    "input '\(port.name)' has the unsupported type \(port.elementType.name)")
            }
            guard port.hasShape || given[port.name] != nil else {
                throw EngineError.data("input '\(port.name)' has no declared shape")
            }
            let shape =
                given[port.name]
                ?? port.shape.enumerated().map { $1 ?? ($0 == 0 ? batch : others) }
            return try zeros(.ints(shape), .type(type))
        }
        // Nobody said that the model was ever run at these sizes: what takes an eighth of the machine is not tried.
        return try TorchRuntime.withMemory(atMost: MemoryPlan.machineBytes / 8) { try shapes(of: inputs) }
    }

    private func shapes(of inputs: [Tensor]) throws -> Shapes {
        let program = try program(for: inputs)
        return Shapes(
            values: program.shapes, inputs: inputs.map(\.shape), activationBytes: program.activationBytes)
    }
}

private let zeros = Operation("aten::zeros")
