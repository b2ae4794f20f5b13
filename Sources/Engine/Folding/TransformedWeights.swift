internal import Torch

/// The weights of convolutions as `WinogradConvolution` multiplies them, made once for all plans of a network.
final class TransformedWeights {
    /// By the weight's identity; the weight is held so that no other tensor takes it over.
    private var made: [ObjectIdentifier: (weight: Tensor, transformed: Tensor)] = [:]

    /// The transformed weight; `nil` where this processor, or numbers of channels that are no multiples of 16, rule it out.
    func callAsFunction(_ weight: Tensor) throws -> Tensor? {
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
