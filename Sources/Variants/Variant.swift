/// Names weights by what they hold.
public struct WeightsID: Hashable, Sendable, LosslessStringConvertible {
    /// SHA-256 of their bytes, 32 bytes.
    public let sha256: [UInt8]
    /// The number of their bytes.
    public let size: Int

    /// The weights of this hash and size.
    public init(sha256: [UInt8], size: Int) { (self.sha256, self.size) = (sha256, size) }
}

/// What is measured: a mask, the weights that it starts from, and a recovery. Two variants are equal exactly when all three are.
///
/// Written `{UNIT, …}`, then ` weights=HASH:BYTES` unless the weights are the model's own, and ` recover=NAME` unless nothing is
/// recovered.
public struct Variant: Hashable, Sendable, LosslessStringConvertible {
    /// What is removed.
    public let mask: Mask
    /// The weights; `nil` for the model's own.
    public let weights: WeightsID?
    /// What adapts them to the mask.
    public let recovery: Recovery

    /// A mask of the model with its own weights, unless others are named.
    public init(_ mask: Mask, weights: WeightsID? = nil, recovery: Recovery = .none) {
        self.mask = mask
        self.weights = weights
        self.recovery = recovery
    }

    /// The variant with one more unit removed.
    public func removing(_ unit: Unit) -> Variant {
        Variant(mask.removing(unit), weights: weights, recovery: recovery)
    }

    /// The variants whose losses are averaged: one for each seed of the training.
    public var bySeed: [Variant] {
        recovery.bySeed.map { Variant(mask, weights: weights, recovery: $0) }
    }

    /// Reads the text form; `nil` when the text has another.
    public init?(_ description: String) {
        guard let end = description.firstIndex(of: "}"), let mask = Mask(String(description[...end])) else {
            return nil
        }
        var weights: WeightsID?
        var recovery = Recovery.none
        var words = description[description.index(after: end)...].split(
            separator: " ", omittingEmptySubsequences: false)
        if !words.isEmpty {
            guard words.removeFirst().isEmpty else { return nil }
        }
        if let word = words.first, word.hasPrefix("weights=") {
            guard let named = WeightsID(String(word.dropFirst("weights=".count))) else { return nil }
            weights = named
            words.removeFirst()
        }
        if let word = words.first, word.hasPrefix("recover=") {
            guard let named = Recovery(String(word.dropFirst("recover=".count))), !named.isNone else {
                return nil
            }
            recovery = named
            words.removeFirst()
        }
        guard words.isEmpty else { return nil }
        self.init(mask, weights: weights, recovery: recovery)
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        mask.description + (weights.map { " weights=\($0)" } ?? "")
            + (recovery.isNone ? "" : " recover=" + recovery.description)
    }
}

extension WeightsID {
    /// The hash in hexadecimal digits.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef")
        return String(sha256.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// The hash in hexadecimal digits, a colon and the size.
    public var description: String { "\(hexadecimal):\(size)" }

    /// Reads the text form: 64 hexadecimal digits in lower case, a colon and the size.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let size = Int(parts[1]), size > 0, "\(size)" == parts[1] else { return nil }
        let digits = parts[0].utf8.map { digit -> UInt8? in
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard digits.count == 64, !digits.contains(nil) else { return nil }
        let values = digits.compactMap(\.self)
        self.init(
            sha256: stride(from: 0, to: 64, by: 2).map { values[$0] << 4 | values[$0 + 1] }, size: size)
    }
}
