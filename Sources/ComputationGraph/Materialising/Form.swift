internal import ONNX

/// What a value has become in the smaller model.
enum Form {
    /// The tensor of this name holds it, in full.
    case tensor(String)
    /// It is constant: the value repeats this constant along the axes where the constant has size 1.
    case uniform(Constant)
    /// The tensor of this name, with these sizes, repeats along the axes where it has size 1.
    case narrow(String, [Int])
    /// Parts of it along one axis are constant, and no tensor holds those.
    case partial(Partial)

    /// Whether the value's tensor is there as in the original model.
    var isTensor: Bool {
        if case .tensor = self { true } else { false }
    }
}

/// A value that is constant in some ranges of one axis.
struct Partial {
    /// A range of positions along the axis.
    struct Segment {
        var length: Int
        /// The constant, with the value's rank; `nil` where the range is live.
        var constant: Constant?
        var isLive: Bool { constant == nil }
    }

    /// Where the live ranges are.
    enum Packing {
        /// One tensor for each live segment.
        case pieces([String])
        /// All live segments one after the other in one tensor.
        case packed(String)
    }

    var axis: Int
    var segments: [Segment]
    var packing: Packing

    /// The size of the whole axis.
    var length: Int { segments.reduce(0) { $0 + $1.length } }
    /// The size of the live part.
    var liveLength: Int { segments.reduce(0) { $0 + ($1.isLive ? $1.length : 0) } }

    /// The segments with their positions along the axis.
    var placed: [(range: Range<Int>, segment: Segment)] {
        var start = 0
        return segments.map { segment in
            defer { start += segment.length }
            return (start..<start + segment.length, segment)
        }
    }

    /// The positions that are live, adjacent ranges joined.
    var liveRanges: [Range<Int>] { placed.filter(\.segment.isLive).map(\.range).joined }

    /// Along another axis, with other lengths and constants, and in one tensor.
    func repacked(_ name: String, axis: Int, _ change: (Segment) throws -> Segment) rethrows -> Partial {
        var merged: [Segment] = []
        for segment in try segments.map(change) {
            if segment.isLive, let last = merged.last, last.isLive {
                merged[merged.count - 1].length += segment.length
            } else {
                merged.append(segment)
            }
        }
        return Partial(axis: axis, segments: merged, packing: .packed(name))
    }
}

extension [Range<Int>] {
    /// Adjacent ranges as one.
    var joined: [Range<Int>] {
        reduce(into: []) { ranges, range in
            if let last = ranges.last, last.upperBound == range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
        }
    }
}

/// What a vertex reads in one input slot, under the mask.
struct Operand {
    /// The value's index in the graph.
    let value: Int
    /// Whether the edge is removed.
    let isCut: Bool
    /// What it reads.
    var form: Form
    /// The sizes of the value's axes.
    let extents: [Extent]?
    let elementType: ElementType

    /// Whether the slot reads something other than the value's own tensor in full.
    var isSpecial: Bool { !form.isTensor }
    /// The constant that it reads, if it is known.
    var constant: Constant? {
        if case .uniform(let constant) = form { constant } else { nil }
    }
    /// The partial value that it reads.
    var partial: Partial? {
        if case .partial(let partial) = form { partial } else { nil }
    }
}
