internal import ONNX
internal import Torch

/// A floating-point format of 4 or 8 bits.
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
    /// What a number that is none becomes.
    private var noNumber: Float = .nan

    /// The format of an element type; `nil` for a type of another kind.
    ///
    /// - Parameter version: the operator set; before 24 infinities became NaN in the formats with one NaN.
    init?(_ type: ElementType, version: Int = 24) {
        switch type {
        case .float8E4M3FN:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                3, -6, 448, false, true
            )
        case .float8E4M3FNUZ:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                3, -7, 240, false, version >= 24
            )
        case .float8E5M2:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                2, -14, 57344, true, true
            )
        case .float8E5M2FNUZ:
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (
                2, -15, 57344, false, version >= 24
            )
        case .float4E2M1:
            // It has nothing but numbers; ml_dtypes, which ONNX's tests are made with, takes NaN for −0.
            (mantissaBits, smallestExponent, largest, hasInfinity, saturatesInfinity) = (1, 0, 6, false, true)
            noNumber = -0.0
        default: return nil
        }
    }

    /// The format's number nearest to `number`, the even one of two.
    ///
    /// - Parameter saturating: whether numbers beyond the largest become that one.
    func rounding(_ number: Float, saturating: Bool) -> Float {
        if number.isNaN { return noNumber }
        if number == 0 { return number }
        let beyond = Float(signOf: number, magnitudeOf: hasInfinity ? .infinity : .nan)
        let bounded = Float(signOf: number, magnitudeOf: largest)
        if number.isInfinite { return saturating ? (saturatesInfinity ? bounded : .nan) : beyond }
        let exponent = max(Int(number.exponent), smallestExponent)
        let place = Float(sign: .plus, exponent: exponent - mantissaBits, significand: 1)
        let rounded = (number / place).rounded(.toNearestOrEven) * place
        return rounded.magnitude <= largest ? rounded : saturating ? bounded : beyond
    }
}

/// Powers of two, of 8 bits: what float8e8m0 holds.
enum PowerOfTwo: String, CaseIterable {
    case up, down, nearest

    /// The power of two that stands for `number`; negative numbers have none, and give NaN.
    func rounding(_ number: Float, saturating: Bool) -> Float {
        let (least, largest) = (Float(sign: .plus, exponent: -127, significand: 1), Float(0x1p127))
        guard number >= 0 else { return .nan }
        if number < least { return saturating || number > 0 && self == .up ? least : .nan }
        guard number.isFinite else { return saturating ? largest : .nan }
        let below = Float(sign: .plus, exponent: Int(number.exponent), significand: 1)
        let goesUp =
            switch self {
            case .up: number > below
            case .down: false
            case .nearest: number / below >= 1.5
            }
        guard goesUp else { return below }
        return below < largest ? below * 2 : saturating ? largest : .nan
    }
}

extension Tensor {
    /// The elements of this floating-point tensor rounded to the numbers of a narrower format, in float32.
    func rounded(to format: NarrowFormat, saturating: Bool) throws(TorchError) -> Tensor {
        try Tensor(elements(as: Float.self).map { format.rounding($0, saturating: saturating) }, shape: shape)
    }

    /// The elements of this floating-point tensor as powers of two.
    func rounded(to direction: PowerOfTwo, saturating: Bool) throws(TorchError) -> Tensor {
        try Tensor(
            elements(as: Float.self).map { direction.rounding($0, saturating: saturating) }, shape: shape)
    }
}
