/// What is removed: a set of units in canonical form. Two masks are equal exactly when they remove the same units.
///
/// Written as its units in canonical order, in braces: `{12:1, 31:0=mean}`.
public struct Mask: Hashable, Sendable, LosslessStringConvertible {
    /// The units in canonical order.
    public let units: [Unit]

    /// The mask that removes nothing.
    public static let empty = Mask(sorted: [])

    /// The mask that removes `units`, given in any order.
    public init(_ units: some Sequence<Unit>) {
        self.units = Set(units).sorted()
    }

    /// The mask whose `edges`, given in any order, read zeros.
    public init(_ edges: some Sequence<Edge>) {
        self.units = Set(edges).sorted().map { Unit($0) }
    }

    private init(sorted units: [Unit]) { self.units = units }

    /// Reads the text form; `nil` when the text has another.
    public init?(_ description: String) {
        guard description.hasPrefix("{"), description.hasSuffix("}"), description.count >= 2 else {
            return nil
        }
        let inside = description.dropFirst().dropLast()
        guard !inside.isEmpty else {
            self = .empty
            return
        }
        var units: [Unit] = []
        for part in inside.split(separator: ",", omittingEmptySubsequences: false) {
            let text = part.first == " " ? part.dropFirst() : part
            guard let unit = Unit(String(text)), units.last.map({ $0 < unit }) ?? true else { return nil }
            units.append(unit)
        }
        self.init(sorted: units)
    }

    /// The number of units.
    public var count: Int { units.count }
    /// Whether nothing is removed.
    public var isEmpty: Bool { units.isEmpty }

    /// Whether `unit` is removed.
    public func contains(_ unit: Unit) -> Bool {
        let index = units.partitioningIndex(for: unit)
        return index < units.count && units[index] == unit
    }

    /// Whether the whole value on `edge` reads zeros because the mask names that edge.
    public func contains(_ edge: Edge) -> Bool { contains(Unit(edge)) }

    /// This mask with one more unit removed.
    public func removing(_ unit: Unit) -> Mask {
        let index = units.partitioningIndex(for: unit)
        if index < units.count && units[index] == unit { return self }
        var larger = units
        larger.insert(unit, at: index)
        return Mask(sorted: larger)
    }

    /// This mask with one more edge that reads zeros.
    public func removing(_ edge: Edge) -> Mask { removing(Unit(edge)) }

    /// This mask without one of its units.
    public func keeping(_ unit: Unit) -> Mask { Mask(sorted: units.filter { $0 != unit }) }

    /// The units in canonical order, in braces.
    public var description: String { "{" + units.map(\.description).joined(separator: ", ") + "}" }
}

extension Mask {
    /// The units as people read them: of the positions that go along one axis, their number.
    public var shortDescription: String {
        var texts: [String] = []
        var place: [String: (index: Int, count: Int)] = [:]
        for unit in units {
            guard let positions = unit.root.positions else {
                texts.append(unit.description)
                continue
            }
            let name = "\(unit.kind.rawValue)@\(unit.edge)"
            let known = place[name] ?? (texts.count, 0)
            if known.index == texts.count { texts.append("") }
            place[name] = (known.index, known.count + positions.count)
            texts[known.index] = "\(name)(\(known.count + positions.count))"
        }
        return texts.joined(separator: " ")
    }
}

extension [Unit] {
    /// The first index of this sorted list whose unit is not before `unit`.
    fileprivate func partitioningIndex(for unit: Unit) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < unit { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Mask: Comparable {
    /// Lexicographic by the units' canonical order: the rule that breaks the last ties.
    public static func < (left: Mask, right: Mask) -> Bool {
        left.units.lexicographicallyPrecedes(right.units)
    }
}

extension Mask: Codable {
    /// Reads the list of units.
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode([Unit].self))
    }

    /// Writes the list of units.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(units)
    }
}
