/// What a removed slice reads instead.
public enum Replacement: String, Hashable, Sendable, Codable, CaseIterable {
    /// Zeros of the value's shape.
    case zero
    /// The value's mean over the calibration data.
    case mean
    /// Of a layer whose input has its output's shape: the input.
    case bypass

    /// The canonical order of units that differ in this alone.
    fileprivate var order: Int { self == .zero ? 0 : self == .mean ? 1 : 2 }
}

/// What is removed at once: a slice that names it, with the slices that are coupled to it, which follow from the graph.
///
/// Written `[KIND@]SLICE[=REPLACEMENT]`; an edge that reads zeros is just `NODE:SLOT`.
///
/// ```
/// 31:0                 the edge into slot 0 of node 31 reads zeros
/// 31:0=mean            …reads its value's mean over the calibration data
/// layer@12:0           whoever reads what node 12 computes reads zeros
/// layer@12:0=bypass    …reads what comes into slot 0 of node 12
/// channels@31:0[1:0..<2+5..<6]
///                      the channels 0, 1 and 5 of what node 31 reads go, with all that is coupled to them
/// ```
public struct Unit: Hashable, Sendable, LosslessStringConvertible {
    /// What a unit is made of.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// One edge.
        case edge
        /// All that a layer computes. The root is the edge into the layer that brings the data.
        case layer
        /// Channels of images, and of whatever else is no head and no neuron. The root is the first edge that reads them.
        case channels
        /// Heads of attention.
        case heads
        /// Neurons between two products with matrices.
        case neurons

        /// Whether it is made of positions along an axis.
        public var isSliced: Bool {
            switch self {
            case .edge, .layer: false
            case .channels, .heads, .neurons: true
            }
        }

        /// The name of several: `edges`, `layers`, `channels`, `heads`, `neurons`.
        public var plural: String { isSliced ? rawValue : rawValue + "s" }

        fileprivate var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// What it is made of.
    public let kind: Kind
    /// The slice that names it.
    public let root: Slice
    /// What the removed slices read instead.
    public let replacement: Replacement

    /// A unit of this kind.
    public init(_ kind: Kind = .edge, root: Slice, replacement: Replacement = .zero) {
        self.kind = kind
        self.root = root
        self.replacement = replacement
    }

    /// One edge.
    public init(_ edge: Edge, replacement: Replacement = .zero) {
        self.init(.edge, root: Slice(edge), replacement: replacement)
    }

    /// The layer whose data comes in on `edge`.
    public static func layer(at edge: Edge, replacement: Replacement = .zero) -> Unit {
        Unit(.layer, root: Slice(edge), replacement: replacement)
    }

    /// Reads `[KIND@]SLICE[=REPLACEMENT]`; `nil` when the text has another form.
    public init?(_ description: String) {
        var text = description[...]
        var kind = Kind.edge
        var replacement = Replacement.zero
        if let at = text.firstIndex(of: "@") {
            guard let named = Kind(rawValue: String(text[..<at])), named != .edge else { return nil }
            kind = named
            text = text[text.index(after: at)...]
        }
        if let equals = text.lastIndex(of: "=") {
            guard let named = Replacement(rawValue: String(text[text.index(after: equals)...])),
                named != .zero
            else { return nil }
            replacement = named
            text = text[..<equals]
        }
        guard let root = Slice(String(text)) else { return nil }
        self.init(kind, root: root, replacement: replacement)
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        (kind == .edge ? "" : kind.rawValue + "@") + root.description
            + (replacement == .zero ? "" : "=" + replacement.rawValue)
    }

    /// The text form for people: of positions, their number.
    public var shortDescription: String {
        root.positions.map { "\(kind.rawValue)@\(root.edge)(\($0.count))" } ?? description
    }

    /// The edge of the root.
    public var edge: Edge { root.edge }

    /// The edge, when the unit is a whole edge that reads zeros.
    public var plainEdge: Edge? {
        kind == .edge && root.positions == nil && replacement == .zero ? root.edge : nil
    }
}

extension Unit: Comparable {
    /// The canonical order: by edge, then kind, positions and replacement.
    public static func < (left: Unit, right: Unit) -> Bool {
        if left.root.edge != right.root.edge { return left.root.edge < right.root.edge }
        if left.kind != right.kind { return left.kind.order < right.kind.order }
        if left.root.positions != right.root.positions {
            guard let own = left.root.positions else { return true }
            guard let other = right.root.positions else { return false }
            return own < other
        }
        return left.replacement.order < right.replacement.order
    }
}

extension Unit: TextCodable {}
