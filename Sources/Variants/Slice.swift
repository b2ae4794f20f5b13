/// A part of the value on an edge: all of it, or a range along one of its axes.
///
/// Written `NODE:SLOT` or `NODE:SLOT[AXIS:FIRST..<END]`, e.g. `31:0[1:8..<16]` for the channels 8 to 15 of an image.
public struct Slice: Hashable, Sendable, LosslessStringConvertible {
    /// A range of indices along an axis, both counted from 0.
    public struct Range: Hashable, Comparable, Sendable {
        /// The axis of the value.
        public let axis: Int
        /// The first index, and the one behind the last.
        public let bounds: Swift.Range<Int>

        /// The indices of `bounds` along `axis`.
        public init(axis: Int, bounds: Swift.Range<Int>) {
            self.axis = axis
            self.bounds = bounds
        }

        /// By axis, then first index, then end.
        public static func < (left: Range, right: Range) -> Bool {
            (left.axis, left.bounds.lowerBound, left.bounds.upperBound)
                < (right.axis, right.bounds.lowerBound, right.bounds.upperBound)
        }
    }

    /// The edge.
    public let edge: Edge
    /// The part of its value; `nil` for all of it.
    public let range: Range?

    /// The whole value on `edge`, or a range of it.
    public init(_ edge: Edge, range: Range? = nil) {
        self.edge = edge
        self.range = range
    }

    /// Reads `NODE:SLOT` or `NODE:SLOT[AXIS:FIRST..<END]`; `nil` when the text has another form.
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
        let ends = parts[1].split(separator: ".", omittingEmptySubsequences: false)
        guard ends.count == 3, ends[1].isEmpty, ends[2].first == "<", let first = Int(ends[0]),
            let end = Int(ends[2].dropFirst()), first >= 0, first < end
        else { return nil }
        self.init(edge, range: Range(axis: axis, bounds: first..<end))
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        guard let range else { return edge.description }
        return "\(edge)[\(range.axis):\(range.bounds.lowerBound)..<\(range.bounds.upperBound)]"
    }
}
