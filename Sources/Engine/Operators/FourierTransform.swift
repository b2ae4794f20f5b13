internal import Foundation
internal import Torch

/// The discrete Fourier transform of real or complex signals as two matrix products: exact for any length, and
/// differentiable.
///
/// A complex number is a pair in the last dimension. Cooley and Tukey, 1965, equation 1.
struct FourierTransform {
    /// cos and sin of 2πjk/N, (samples, bins).
    private let cosines: Tensor
    private let sines: Tensor
    private let isInverse: Bool

    /// - Parameters:
    ///   - length: N, the number of samples of the transform.
    ///   - samples: how many of them the signal has; the others are 0. At most `length`.
    ///   - isOneSided: whether only the first N/2 + 1 bins are wanted.
    ///   - isInverse: whether the transform goes back, with the factor 1/N.
    init(length: Int, samples: Int, isOneSided: Bool, isInverse: Bool) throws(TorchError) {
        self.isInverse = isInverse
        let bins = isOneSided ? length / 2 + 1 : length
        let norm = isInverse ? 1 / Double(length) : 1
        let angles = (0..<length).map { 2 * Double.pi * Double($0) / Double(length) }
        let (cosine, sine) = (angles.map { Float(cos($0) * norm) }, angles.map { Float(sin($0) * norm) })
        let turns = (0..<samples).flatMap { sample in (0..<bins).map { sample * $0 % length } }
        cosines = try Tensor(turns.map { cosine[$0] }, shape: [samples, bins])
        sines = try Tensor(turns.map { sine[$0] }, shape: [samples, bins])
    }

    /// Transforms dimension `axis` of a signal whose last dimension is 1 (real) or 2 (complex).
    ///
    /// - Returns: the spectrum, its last dimension 2.
    func callAsFunction(_ signal: Tensor, along axis: Int) throws(TorchError) -> Tensor {
        let last = signal.rank - 1
        let real = try signal.selecting(last, at: 0).transposed(axis, last - 1)
        var realPart = try real.matrixProduct(cosines)
        var imaginaryPart = try real.matrixProduct(sines) * (isInverse ? 1 : -1)
        if signal.shape[last] == 2 {
            let imaginary = try signal.selecting(last, at: 1).transposed(axis, last - 1)
            realPart = try realPart + imaginary.matrixProduct(sines) * (isInverse ? -1 : 1)
            imaginaryPart = try imaginaryPart + imaginary.matrixProduct(cosines)
        }
        return try Tensor.stacked(
            [realPart.transposed(axis, last - 1), imaginaryPart.transposed(axis, last - 1)], along: last)
    }
}
