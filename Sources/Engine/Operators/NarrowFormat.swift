internal import ONNX
internal import Torch

/// An 8-bit floating-point format.
///
/// Source: ONNX, "Float stored in 8 bits" (docs/docsgen/source/technical/float8.md).
struct NarrowFormat {
    /// Bits behind the hidden one.
    private let mantissaBits: Int
    /// The exponent of the smallest normal number.
    private let smallestExponent: Int
    /// The largest finite number.
    private let largest: Float
    /// Whether the format has infinities.
    private let hasInfinity: Bool
    /// Whether infinities become the largest number when the conversion saturates; NaN otherwise.
    private let saturatesInfinity: Bool

    /// The format of an element type; `nil` for a type of another kind.
    init?(_ type: ElementType) {
        switch type {
        case .float8E4M3FN:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                3, -6, 448, false, true
            )
        case .float8E4M3FNUZ:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                3, -7, 240, false, false
            )
        case .float8E5M2:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                2, -14, 57344, true, true
            )
        case .float8E5M2FNUZ:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                2, -15, 57344, false, false
            )
        default: return nil
        }
    }

    /// The format's number nearest to `number`, the even one of two.
    ///
    /// - Parameter saturating: whether numbers beyond the largest become that one.
    func rounding(_ number: Float, saturating: Bool) -> Float {
        if number.isNaN || number == 0 { return number }
        let beyond = Float(signOf: number, magnitudeOf: hasInfinity ? .infinity : .nan)
        let bounded = Float(signOf: number, magnitudeOf: largest)
        if number.isInfinite { return saturating ? (saturatesInfinity ? bounded : .nan) : beyond }
        let exponent = max(Int(number.exponent), smallestExponent)
        let place = Float(sign: .plus, exponent: exponent - mantissaBits, significand: 1)
        let rounded = (number / place).rounded(.toNearestOrEven) * place
        return rounded.magnitude <= largest ? rounded : saturating ? bounded : beyond
    }
}

extension Tensor {
    /// The elements of this floating-point tensor rounded to the numbers of a narrower format, in float32.
    func rounded(to format: NarrowFormat, saturating: Bool) throws(TorchError) -> Tensor {
        try Tensor(elements(as: Float.self).map { format.rounding($0, saturating: saturating) }, shape: shape)
    }
}
