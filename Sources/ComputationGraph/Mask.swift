/// A set of removed edges, in canonical form: two masks are equal exactly when they remove the same edges.
public struct Mask: Hashable, Sendable, CustomStringConvertible, Codable {
    /// The removed edges in canonical order.
    public let edges: [Edge]

    /// The mask that removes nothing.
    public static let empty = Mask([])

    /// The mask that removes `edges`, given in any order.
    public init(_ edges: some Sequence<Edge>) {
        self.edges = Set(edges).sorted()
    }

    private init(sorted edges: [Edge]) { self.edges = edges }

    /// The number of removed edges.
    public var count: Int { edges.count }
    /// Whether nothing is removed.
    public var isEmpty: Bool { edges.isEmpty }

    /// Whether `edge` is removed.
    public func contains(_ edge: Edge) -> Bool {
        let index = edges.partitioningIndex(for: edge)
        return index < edges.count && edges[index] == edge
    }

    /// This mask with one more edge removed.
    public func removing(_ edge: Edge) -> Mask {
        let index = edges.partitioningIndex(for: edge)
        if index < edges.count && edges[index] == edge { return self }
        var larger = edges
        larger.insert(edge, at: index)
        return Mask(sorted: larger)
    }

    /// The edges in canonical order, in braces.
    public var description: String { "{" + edges.map(\.description).joined(separator: ", ") + "}" }
}

extension [Edge] {
    /// The first index of this sorted list whose edge is not before `edge`.
    fileprivate func partitioningIndex(for edge: Edge) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < edge { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Mask: Comparable {
    /// Lexicographic by canonical edge order: the rule that breaks the last ties.
    public static func < (left: Mask, right: Mask) -> Bool {
        left.edges.lexicographicallyPrecedes(right.edges)
    }
}
