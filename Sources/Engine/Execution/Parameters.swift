internal import ComputationGraph
internal import ONNX
package import Torch

/// One version of the numbers that a model computes with: a table of tensors that programs run against.
///
/// What is made of them once, for all input shapes, is kept beside them: the weights of fused layers, and values that
/// follow from the parameters alone.
public final class Parameters {
    /// Which version it is: the content hash of weights that were refitted or trained; empty for those of the model's file.
    public let version: String
    /// By value index: the tensor of every parameter (`Graph.parameters`); `nil` for all other values.
    let tensors: [Tensor?]
    /// By vertex, the biases of linear layers that have none in the model's file: one number per channel of the output.
    let addedBiases: [Int: AddedBias]
    /// What fused layers make of them.
    let fused: FusedWeights
    private var derived: [Int: Tensor] = [:]

    /// - Parameter tensors: by value index, in the layout that the layers read fastest.
    init(
        _ tensors: [Tensor?], addedBiases: [Int: AddedBias] = [:], version: String = "",
        fused: FusedWeights = FusedWeights()
    ) {
        self.tensors = tensors
        self.addedBiases = addedBiases
        self.version = version
        self.fused = fused
    }

    /// Another version, in which some parameters have other numbers.
    ///
    /// - Parameters:
    ///   - changed: by value index, tensors of the same shapes and types.
    ///   - addedBiases: by vertex, biases of linear layers that had none.
    ///   - version: the content hash of all the parameters.
    /// - Throws: `EngineError` for a value that is no parameter, or a tensor of another shape or type.
    package func replacing(
        _ changed: [Int: Tensor], addingBiases addedBiases: [Int: AddedBias] = [:], version: String
    ) throws -> Parameters {
        var tensors = tensors
        for (value, tensor) in changed {
            guard tensors.indices.contains(value), let own = tensors[value] else {
                throw EngineError.data("value \(value) is no parameter of the model")
            }
            guard own.shape == tensor.shape, own.scalarType == tensor.scalarType else {
                throw EngineError.data(
                    "parameter \(value) has the shape \(own.shape), and its new numbers have \(tensor.shape)")
            }
            tensors[value] = own.isChannelsLast && !own.isContiguous ? try tensor.channelsLast() : tensor
        }
        return Parameters(
            tensors, addedBiases: self.addedBiases.merging(addedBiases) { $1 }, version: version,
            fused: FusedWeights(sharing: fused))
    }

    /// The tensor of a parameter; `nil` for any other value.
    package subscript(value: Int) -> Tensor? { tensors[value] }

    /// Values that follow from the parameters alone, computed for the first program that reads them.
    func derived(_ values: [Int?], compute: () throws -> [Tensor?]) rethrows -> [Tensor?] {
        if values.allSatisfy({ $0.map { derived[$0] != nil } ?? true }) {
            return values.map { $0.flatMap { derived[$0] } }
        }
        let results = try compute()
        for (value, result) in zip(values, results) { if let value, let result { derived[value] = result } }
        return results
    }
}

/// The bias of a linear layer that has none in the model's file.
package struct AddedBias {
    /// One number per channel of the output.
    package let flat: Tensor
    /// The same, in a shape that broadcasts to the output.
    let broadcast: Tensor

    /// How many dimensions the broadcast form has.
    var broadcastRank: Int { broadcast.rank }

    /// - Parameter channelAxisFromEnd: the place of the output's channels, counted from the last axis.
    init(_ flat: Tensor, channelAxisFromEnd: Int) throws {
        self.flat = flat
        broadcast = try flat.reshaped([flat.count] + [Int](repeating: 1, count: channelAxisFromEnd))
    }
}
