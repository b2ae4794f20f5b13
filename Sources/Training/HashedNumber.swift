/// Numbers that look random and are functions of what they name alone: the same for whoever draws them, in any order.
public enum HashedNumber {
    /// 64 bits that look random (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    public static func mixed(_ number: UInt64) -> UInt64 {
        var z = number &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// 64 bits for a list of numbers, in which their order counts.
    public static func of(_ numbers: UInt64...) -> UInt64 {
        numbers.reduce(0x7472_6169_6E) { mixed($0 ^ mixed($1)) }
    }
}
