/// Conversions from the floating-point formats that Swift has no type for.
///
/// Source: ONNX, "Float stored in 8 bits" (docs/docsgen/source/technical/float8.md), and Micikevicius et al.,
/// "FP8 Formats for Deep Learning", 2022, table 1; for float4e2m1 and float8e8m0 Open Compute Project, "Microscaling
/// Formats (MX)", 2023, sections 5.3.3 and 5.4.1.
enum NarrowFloat {
    /// A bfloat16's value: the upper half of a binary32.
    @inline(__always)
    static func bfloat16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

    /// The value of a float4e2m1's four bits.
    static func float4(_ code: UInt8) -> Float {
        let magnitude: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
        return code & 8 == 0 ? magnitude[Int(code & 7)] : -magnitude[Int(code & 7)]
    }

    /// The values of all 256 codes of an 8-bit type; nil for any other type.
    static func float8Table(_ type: ElementType) -> [Float]? {
        switch type {
        case .float8E4M3FN: fn
        case .float8E4M3FNUZ: fnuz
        case .float8E5M2: e5m2
        case .float8E5M2FNUZ: e5m2fnuz
        case .float8E8M0: e8m0
        default: nil
        }
    }

    private static let fn = table(mantissaBits: 3, bias: 7) { $0 & 0x7F == 0x7F ? .nan : nil }
    private static let fnuz = table(mantissaBits: 3, bias: 8) { $0 == 0x80 ? .nan : nil }
    private static let e5m2 = table(mantissaBits: 2, bias: 15) { code in
        switch code & 0x7F {
        case 0x7C: code & 0x80 == 0 ? .infinity : -.infinity
        case 0x7D...: .nan
        default: nil
        }
    }
    private static let e5m2fnuz = table(mantissaBits: 2, bias: 16) { $0 == 0x80 ? .nan : nil }

    private static let e8m0 = (0...255).map { code -> Float in
        code == 255 ? .nan : Float(sign: .plus, exponent: code - 127, significand: 1)
    }

    /// Codes as sign, exponent, mantissa, but for those that `special` knows.
    private static func table(mantissaBits: Int, bias: Int, special: (UInt8) -> Float?) -> [Float] {
        (0...255).map { (code: Int) -> Float in
            if let value = special(UInt8(code)) { return value }
            let mantissa = code & ((1 << mantissaBits) - 1)
            let exponent = (code & 0x7F) >> mantissaBits
            // Subnormals have no hidden bit and the exponent of the smallest normal number.
            let significand = exponent == 0 ? mantissa : mantissa | 1 << mantissaBits
            let power = max(exponent, 1) - bias - mantissaBits
            let magnitude = Float(sign: .plus, exponent: power, significand: Float(significand))
            return code & 0x80 == 0 ? magnitude : -magnitude
        }
    }
}
