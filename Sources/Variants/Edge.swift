/// An input slot of a vertex: the place where one value enters one layer.
///
/// Written `NODE:SLOT`, with the consumer's index in the file's node order and its input slot. The canonical order
/// of edges is by node, then by slot.
public struct Edge: Hashable, Comparable, Sendable, LosslessStringConvertible, Codable {
    /// The consumer's index in the file's node order.
    public let node: Int
    /// The consumer's input slot.
    public let slot: Int

    /// The edge into input `slot` of vertex `node`.
    public init(node: Int, slot: Int) {
        self.node = node
        self.slot = slot
    }

    /// Reads `NODE:SLOT`; `nil` when the text has another form.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let node = Int(parts[0]), let slot = Int(parts[1]), node >= 0, slot >= 0
        else {
            return nil
        }
        self.init(node: node, slot: slot)
    }

    /// `NODE:SLOT`.
    public var description: String { "\(node):\(slot)" }

    /// The canonical order: by node, then by slot.
    public static func < (left: Edge, right: Edge) -> Bool {
        (left.node, left.slot) < (right.node, right.slot)
    }
}
