internal import ComputationGraph
internal import Torch

/// A convolution of a lane with the weights that it has there, by Winograd's filtering: most of a fit's time on a network of
/// convolutions goes into these. Which ones are computed so follows from shapes alone, so that all lanes agree to the bit.
struct FitConvolution {
    private let vertex: Vertex
    private let input: Int
    private let output: Int
    private let weight: Tensor
    private let transformed: Tensor
    private let bias: Tensor?

    /// - Returns: `nil` for a vertex that is no convolution, one whose input is cut, and one that would not gain.
    init?(_ index: Int, in lane: FitLane, _ cuts: Cuts, _ parameters: Parameters) throws {
        guard let block = lane.blocks.first, cuts[index].isEmpty else { return nil }
        vertex = block.model.graph.vertices[index]
        guard vertex.facts.linear == .convolution, vertex.inputs.count > 1, let input = vertex.inputs[0],
            let value = vertex.inputs[1], block.model.graph.values[value].constant != nil,
            let weight = block[value], let output = vertex.outputs[0]
        else { return nil }
        (self.input, self.output, self.weight) = (input, output, weight)
        bias = vertex.inputs.count > 2 ? vertex.inputs[2].flatMap { block[$0] } : nil
        guard try FitConvolution.kernel(vertex, input, weight, weight, bias, block.model) != nil else {
            return nil
        }
        // The model's own weights are transformed once, those of a fit for this step alone.
        let fused = lane.changed[value] == nil ? parameters.fused : FusedWeights()
        guard let transformed = try fused.transformed(weight) else { return nil }
        self.transformed = transformed
    }

    private static func kernel(
        _ vertex: Vertex, _ input: Int, _ weight: Tensor, _ transformed: Tensor, _ bias: Tensor?,
        _ model: Specialisation
    ) throws -> Kernel? {
        guard !model.graph.values[input].hasDynamicShape, let shape = model.shapes[input] else { return nil }
        return try WinogradConvolution.kernel(
            of: vertex, over: shape, weight: weight, transformed: transformed, bias: bias)
    }

    /// Computes it for a block.
    ///
    /// - Parameter isRead: whether a value that it reads is read by later steps.
    /// - Returns: whether it did; a block of another size may not gain.
    func compute(_ block: inout Activations, isRead: (Int) -> Bool) throws -> Bool {
        guard let kernel = try FitConvolution.kernel(vertex, input, weight, transformed, bias, block.model),
            let tensor = block[input]
        else { return false }
        guard let result = try Program.compute(vertex, kernel, [tensor])[0] else { return false }
        block.replace(output, by: result)
        let inputs = Set(vertex.inputs.compactMap { $0 })
        block = block.detached { !inputs.contains($0) || isRead($0) }
        return true
    }
}
