/// What refits the weights for a mask before it is measured.
///
/// What it makes is a pure function of the weights that a variant starts from, its mask, the fit data and the recovery. Written
/// as its rungs and settings with commas between, defaults left out: `none`, `least-squares`, `norm,least-squares,ridge=0.01`.
public struct Recovery: Hashable, Sendable, LosslessStringConvertible {
    /// A kind of refitting. Those of one recovery work together.
    public enum Rung: String, Hashable, Sendable, CaseIterable {
        /// Every normalisation whose input changed: scale and shift, per channel.
        case norm
        /// Every linear layer whose input changed, in graph order: its bias alone, so that the mean of what it gives is that of the
        /// unpruned model's output. What removed parts contributed on average is folded into it.
        case bias
        /// Every linear layer whose input changed, in graph order, towards the unpruned model's output.
        case leastSquares = "least-squares"
    }

    /// What is refitted; nothing where it is empty.
    public let rungs: Set<Rung>
    /// The ridge's strength, as a share of the mean of the Gram matrix's diagonal; `nil` where rows held out of the fit choose
    /// it, layer by layer.
    public let ridge: Double?
    /// The rows that a layer is fitted on, for each of its features.
    public let rowsPerFeature: Int

    /// Enough rows: twice as many change the held-out loss of the bundled models by less than their noise.
    public static let usualRowsPerFeature = 8

    /// A recovery of these rungs.
    ///
    /// - Parameters:
    ///   - ridge: finite and not negative.
    ///   - rowsPerFeature: at least 1.
    public init(
        _ rungs: Set<Rung>, ridge: Double? = nil, rowsPerFeature: Int = Recovery.usualRowsPerFeature
    ) {
        precondition(rowsPerFeature >= 1 && ridge.map { $0 >= 0 && $0.isFinite } ?? true)
        self.rungs = rungs
        // A zero has one text: equal recoveries are written alike.
        self.ridge = rungs.isEmpty ? nil : ridge.map { $0 == 0 ? 0 : $0 }
        self.rowsPerFeature = rungs.isEmpty ? Recovery.usualRowsPerFeature : rowsPerFeature
    }

    /// Nothing: the weights stay as they are.
    public static let none = Recovery([])

    /// Whether the weights stay as they are.
    public var isNone: Bool { rungs.isEmpty }
    /// Whether linear layers are refitted, and given a bias where they have none.
    public var refitsLayers: Bool { rungs.contains(.leastSquares) || rungs.contains(.bias) }

    /// Reads the text form; `nil` for one that is not known.
    public init?(_ description: String) {
        self.init(words: description.split(separator: ",", omittingEmptySubsequences: false))
    }

    private init?(words: [Substring]) {
        if words == ["none"] {
            self = .none
            return
        }
        var rungs: Set<Rung> = []
        var ridge: Double?
        var rows: Int?
        for word in words {
            if let rung = Rung(rawValue: String(word)), rungs.insert(rung).inserted { continue }
            if word.hasPrefix("ridge="), ridge == nil, let number = Double(word.dropFirst(6)), number >= 0,
                number.isFinite
            {
                ridge = number
                continue
            }
            guard word.hasPrefix("rows="), rows == nil, let number = Int(word.dropFirst(5)), number >= 1
            else { return nil }
            rows = number
        }
        guard !rungs.isEmpty else { return nil }
        self.init(rungs, ridge: ridge, rowsPerFeature: rows ?? Recovery.usualRowsPerFeature)
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        guard !isNone else { return "none" }
        let settings =
            (ridge.map { ["ridge=\($0)"] } ?? [])
            + (rowsPerFeature == Recovery.usualRowsPerFeature ? [] : ["rows=\(rowsPerFeature)"])
        return (Rung.allCases.filter(rungs.contains).map(\.rawValue) + settings).joined(separator: ",")
    }
}

extension Recovery: TextCodable {}
