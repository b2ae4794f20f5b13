package import ComputationGraph
internal import Datasets
internal import FoundationEssentials
internal import ONNX
internal import Torch

extension Graph {
    /// Lets slices be followed through the graph; weights that it computes from stored ones can be cut too.
    ///
    /// - Parameter shapes: the shape of every value for a single sample of the data, by value index.
    package func followSlices(at shapes: [[Int]?]) {
        useSizes(shapes) { graph, value in try graph.computedWeight(value) }
    }

    /// The contents of a value that follows from initialisers alone.
    ///
    /// - Throws: `EngineError` that names the node that failed.
    func computedWeight(_ value: Int) throws -> TensorData {
        TorchRuntime.prepare()
        var needed: Set<Int> = []
        var pending = [value]
        while let value = pending.popLast() {
            guard let producer = values[value].producer, needed.insert(producer).inserted else { continue }
            pending += vertices[producer].inputs.compactMap { $0 }
        }
        var tensors: [Int: Tensor] = [:]
        for index in order where needed.contains(index) {
            let vertex = vertices[index]
            for case let input? in vertex.inputs where tensors[input] == nil {
                tensors[input] = try values[input].constant.map { try Tensor($0) }
            }
            let inputs = vertex.inputs.map { $0.flatMap { tensors[$0] } }
            let kernel = try Program.kernel(of: vertex, in: self, constants: KnownInputs(inputs))
            for (output, tensor) in zip(vertex.outputs, try Program.compute(vertex, kernel, inputs)) {
                if let output { tensors[output] = tensor }
            }
        }
        guard let tensor = tensors[value] else {
            throw EngineError.data("weight '\(values[value].name)' was not computed")
        }
        let array = try tensor.array(as: values[value].elementType)
        return try TensorData(
            elementType: values[value].elementType, shape: array.shape, bytes: Data(array.bytes))
    }
}
