/// A part of the value on an edge: all of it, or some positions along one of its axes.
///
/// Written `NODE:SLOT` or `NODE:SLOT[AXIS:RANGES]`, with ranges as `FIRST..<END` joined by `+`, e.g. `31:0[1:8..<16]` for the
/// channels 8 to 15 of an image, and `31:0[1:0..<2+5..<6]` for the channels 0, 1 and 5.
public struct Slice: Hashable, Sendable, LosslessStringConvertible {
    /// Positions along an axis, both counted from 0.
    public struct Positions: Hashable, Comparable, Sendable {
        /// The axis of the value.
        public let axis: Int
        /// Ranges of positions, ascending, none of them empty and none touching the next.
        public let ranges: [Range<Int>]

        /// The positions of `bounds` along `axis`.
        public init(axis: Int, bounds: Range<Int>) {
            self.axis = axis
            ranges = [bounds]
        }

        /// Positions along `axis`, given in ascending order.
        public init(axis: Int, ascending positions: some Sequence<Int>) {
            self.axis = axis
            var ranges: [Range<Int>] = []
            for position in positions {
                if let last = ranges.last, last.upperBound >= position {
                    ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, position + 1)
                } else {
                    ranges.append(position..<position + 1)
                }
            }
            self.ranges = ranges
        }

        /// Positions along `axis` in ascending ranges that do not touch.
        fileprivate init(axis: Int, separate ranges: [Range<Int>]) {
            (self.axis, self.ranges) = (axis, ranges)
        }

        /// The number of positions.
        public var count: Int { ranges.reduce(0) { $0 + $1.count } }

        /// By axis, then range by range: first position, then end.
        public static func < (left: Positions, right: Positions) -> Bool {
            guard left.axis == right.axis else { return left.axis < right.axis }
            return left.ranges.lexicographicallyPrecedes(right.ranges) {
                ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound)
            }
        }
    }

    /// The edge.
    public let edge: Edge
    /// The part of its value; `nil` for all of it.
    public let positions: Positions?

    /// The whole value on `edge`, or a part of it.
    public init(_ edge: Edge, positions: Positions? = nil) {
        self.edge = edge
        self.positions = positions
    }

    /// Reads `NODE:SLOT` or `NODE:SLOT[AXIS:RANGES]`; `nil` when the text has another form.
    public init?(_ description: String) {
        guard description.hasSuffix("]") else {
            guard let edge = Edge(description) else { return nil }
            self.init(edge)
            return
        }
        guard let open = description.firstIndex(of: "["), let edge = Edge(String(description[..<open]))
        else { return nil }
        let inside = description[description.index(after: open)...].dropLast()
        let parts = inside.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let axis = Int(parts[0]), axis >= 0 else { return nil }
        let ranges = parts[1].split(separator: "+", omittingEmptySubsequences: false).map(Self.range)
        let known = ranges.compactMap { $0 }
        guard known.count == ranges.count,
            zip(known, known.dropFirst()).allSatisfy({ $0.upperBound < $1.lowerBound })
        else { return nil }
        self.init(edge, positions: Positions(axis: axis, separate: known))
    }

    /// Reads `FIRST..<END`.
    private static func range(_ text: Substring) -> Range<Int>? {
        let ends = text.split(separator: ".", omittingEmptySubsequences: false)
        guard ends.count == 3, ends[1].isEmpty, ends[2].first == "<", let first = Int(ends[0]),
            let end = Int(ends[2].dropFirst()), first >= 0, first < end, end <= largestSize
        else { return nil }
        return first..<end
    }

    /// No axis is longer.
    private static let largestSize = 1 << 24

    /// The text form, which the initialiser reads.
    public var description: String {
        guard let positions else { return edge.description }
        let ranges = positions.ranges.map { "\($0.lowerBound)..<\($0.upperBound)" }
        return "\(edge)[\(positions.axis):\(ranges.joined(separator: "+"))]"
    }
}
