internal import ComputationGraph
internal import Torch

/// What fused layers make of one version of the parameters, made once for all programs.
final class FusedWeights {
    /// Whether convolutions take normalizations in.
    let fusesNormalizations: Bool
    private var known: [Int: BatchNormFusion]?
    /// By the weight's identity; the weight is held so that no other tensor takes it over.
    private var made: [ObjectIdentifier: (weight: Tensor, transformed: Tensor)] = [:]

    /// Nothing yet.
    init(fusesNormalizations: Bool = true) { self.fusesNormalizations = fusesNormalizations }

    /// What another version's weights were made into: unchanged ones are not made again.
    init(sharing other: FusedWeights) {
        fusesNormalizations = other.fusesNormalizations
        made = other.made
    }

    /// The normalizations that convolutions take in, by vertex.
    func normalizations(in graph: Graph, _ parameters: Parameters) throws -> [Int: BatchNormFusion] {
        if let known { return known }
        let found = fusesNormalizations ? try BatchNormFusion.all(in: graph, parameters) : [:]
        known = found
        return found
    }

    /// A convolution's weight as `WinogradConvolution` multiplies it; `nil` where this processor, or numbers of channels that
    /// are no multiples of 16, rule it out.
    func transformed(_ weight: Tensor) throws -> Tensor? {
        let key = ObjectIdentifier(weight)
        if made[key] == nil { made[key] = (weight, try transform(.tensor(weight))) }
        return made[key].flatMap { $0.transformed.count == 0 ? nil : $0.transformed }
    }

    /// The bytes that a weight takes beside its own once it is transformed: four times as many for a 3×3 kernel.
    static func bytes(of weight: Tensor) -> Int {
        guard weight.rank == 4, weight.shape[2...] == [3, 3], weight.shape[0] % 16 == 0,
            weight.shape[1] % 16 == 0
        else { return 0 }
        return 4 * weight.byteCount
    }
}

private let transform = Operation("espalier::winograd_weight")
