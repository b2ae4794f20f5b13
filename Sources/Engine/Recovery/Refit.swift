public import ComputationGraph
internal import Torch

/// What a fit made of a layer.
public struct RefittedLayer: Sendable, Hashable {
    /// The layer's vertex.
    public let vertex: Int
    /// The rows that it was fitted on.
    public let rows: Int
    /// The features of each regression.
    public let features: Int
    /// The ridge's strength.
    public let strength: Double
    /// Whether the rows do not tell all weights apart.
    public let isSingular: Bool
}

/// The weights of a mask after its recovery.
public struct Refit {
    /// The parameters to compute with.
    let parameters: Parameters
    /// By value: the parameters that are other ones than the model's.
    let changed: [Int: Tensor]
    /// By vertex: the biases of layers that had none.
    let addedBiases: [Int: AddedBias]
    /// The layers, in the order of fitting.
    public let layers: [RefittedLayer]

    /// What is worth a line: layers with fewer rows than features, and those whose rows do not tell all weights apart.
    ///
    /// - Parameter graph: gives the layers their names.
    public func warnings(in graph: Graph) -> [String] {
        func sentence(_ one: String, _ several: String, _ isMeant: (RefittedLayer) -> Bool) -> String? {
            let names = layers.filter(isMeant).map { graph.vertices[$0.vertex].name }
            guard let first = names.first else { return nil }
            return names.count == 1
                ? "'\(first)' \(one)" : "\(names.count) layers, '\(first)' among them, \(several)"
        }
        let (tooFew, alike) = (
            "fewer rows than it has features: give more samples to fit on",
            "rows that do not tell all of its weights apart: the smallest change was taken"
        )
        return [
            sentence("was fitted on \(tooFew)", "were each fitted on \(tooFew)") { $0.rows < $0.features },
            sentence("was fitted on \(alike)", "were each fitted on \(alike)") { $0.isSingular },
        ].compactMap { $0 }
    }

    /// The elements of the parameters that are other ones than the model's, by value, in C order.
    public var weights: [Int: [Float]] {
        get throws { try changed.mapValues { try $0.elements(as: Float.self) } }
    }

    /// The biases of layers that had none, by vertex, one number per channel.
    public var biases: [Int: [Float]] {
        get throws { try addedBiases.mapValues { try $0.flat.elements(as: Float.self) } }
    }

    /// The bytes of the weights that are others than the model's.
    var byteCount: Int {
        changed.values.reduce(0) { $0 + $1.byteCount + FusedWeights.bytes(of: $1) }
            + addedBiases.values.reduce(0) { $0 + 2 * $1.flat.byteCount }
    }
}
