internal import ComputationGraph
internal import Datasets
internal import Torch

/// Finds sizes of a model's symbolic axes, other than the data's, at which the model runs.
///
/// Axes of one name are one size; axes without a name are sizes of their own. A size that cannot change alone is tried
/// together with others: those that are equal in the data, those that differ from it by what a third one is (a past and a
/// present length, and their sum), multiples of it. Of a group that changes together, the sizes that it does without are
/// left out again. What runs is the unpruned model, on real samples cut off or repeated.
struct SizeProbing {
    /// Axes that are one size by declaration.
    private struct Unit {
        let axes: [SizeExpression.InputAxis]
        /// Whether it is the first axis of an input: the batch, mostly.
        let isFirst: Bool
    }

    /// Sizes that change together.
    private enum Link {
        /// All by the same number.
        case sum(lead: Int, Set<Int>)
        /// All by the same factor.
        case multiple(lead: Int, Set<Int>)

        var members: Set<Int> {
            switch self {
            case .sum(_, let members), .multiple(_, let members): members
            }
        }
        var lead: Int {
            switch self {
            case .sum(let lead, _), .multiple(let lead, _): lead
            }
        }
    }

    private let graph: Graph
    private let arrays: [NumpyArray]
    private let limit: Int
    private let run: ([Tensor]) throws -> [[Int]?]
    private let units: [Unit]
    private var base: [Int]
    private var runs: [[Int]: [[Int]?]] = [:]
    private var failed: Set<[Int]> = []
    private var successes: [[Int]] = []
    private var attemptsLeft: Int

    /// - Parameters:
    ///   - arrays: real samples, one array for each input.
    ///   - limit: elements that the inputs may have altogether.
    ///   - run: gives the shape of every value on these inputs, or throws when the model does not run on them.
    init(
        _ graph: Graph, arrays: [NumpyArray], limit: Int, run: @escaping ([Tensor]) throws -> [[Int]?]
    ) {
        (self.graph, self.arrays, self.limit, self.run) = (graph, arrays, limit, run)
        var units: [Unit] = []
        var named: [String: [SizeExpression.InputAxis]] = [:]
        for (input, port) in graph.inputs.enumerated() where port.shape.count == arrays[input].shape.count {
            for axis in port.shape.indices where port.shape[axis] == nil {
                let place = SizeExpression.InputAxis(input: input, axis: axis)
                if let name = port.symbols[axis], !name.isEmpty {
                    named[name, default: []].append(place)
                } else {
                    units.append(Unit(axes: [place], isFirst: axis == 0))
                }
            }
        }
        for axes in named.values { units.append(Unit(axes: axes, isFirst: axes.contains { $0.axis == 0 })) }
        // The batch first, then in the order of the inputs.
        self.units = units.sorted { left, right in
            let (one, other) = (left.axes[0], right.axes[0])
            if left.isFirst != right.isFirst { return left.isFirst }
            return (one.input, one.axis) < (other.input, other.axis)
        }
        base = self.units.map { arrays[$0.axes[0].input].shape[$0.axes[0].axis] }
        attemptsLeft = 80 + 16 * self.units.count
    }

    /// The runs found, that at the data's own sizes first.
    var probes: [ValueShapes.Probe] {
        // A run with an empty axis tells nothing that others do not tell.
        let whole = successes.filter { !$0.contains(0) }
        return (whole.isEmpty ? successes : whole).compactMap { sizes in
            runs[sizes].map { ValueShapes.Probe(inputShapes: inputShapes(sizes), shapes: $0) }
        }
    }

    /// All symbolic axes, in groups that are one size by declaration.
    var symbolic: [[SizeExpression.InputAxis]] { units.map(\.axes) }

    /// The axes that no run varied, in groups that are one size by declaration.
    var unvaried: [[SizeExpression.InputAxis]] {
        units.indices.filter { !isVaried($0) }.map { units[$0].axes }
    }

    /// Input shapes to check a file at: one sample, the smallest sizes together, the largest, and every size alone at its
    /// smallest and largest. Each is with one sample, where the model takes that, but for the smallest; after it comes what
    /// has run.
    func trials() -> [[[[Int]]]] {
        let whole = successes.filter { !$0.contains(0) }
        let (least, most) = (extremes(of: whole, by: <), extremes(of: whole, by: >))
        func one(_ sizes: [Int]) -> [Int] {
            zip(units, sizes).map { unit, size in unit.isFirst && size > 1 ? 1 : size }
        }
        func several(_ sizes: [Int]) -> [Int] {
            units.indices.map { units[$0].isFirst ? most[$0] : sizes[$0] }
        }
        var chosen: [[[Int]]] = []
        func add(_ sizes: [Int], or fallback: [Int]?) {
            guard sizes != base, !chosen.contains(where: { $0[0] == sizes }), chosen.count < 8 else { return }
            chosen.append([sizes] + (fallback.map { [$0] } ?? []))
        }
        add(one(base), or: nil)
        add(several(least), or: nil)
        add(one(most), or: nil)
        for unit in units.indices where !units[unit].isFirst {
            for sizes in [whole.min { $0[unit] < $1[unit] }, whole.max { $0[unit] < $1[unit] }] {
                if let sizes { add(one(sizes), or: sizes) }
            }
        }
        if chosen.count < 2, let other = whole.first(where: { $0 != base }) { add(other, or: nil) }
        return chosen.map { $0.map(inputShapes) }
    }

    private func extremes(of runs: [[Int]], by order: (Int, Int) -> Bool) -> [Int] {
        units.indices.map { unit in runs.map { $0[unit] }.min(by: order) ?? base[unit] }
    }

    /// Looks for sizes.
    ///
    /// - Throws: what `run` throws at the data's own sizes.
    mutating func search() throws {
        let shapes = try run(try tensors(base))
        runs[base] = shapes
        successes = [base]
        leaveZero()
        for unit in units.indices where !isVaried(unit) { vary(.sum(lead: unit, [unit])) }
        for unit in units.indices where !isVaried(unit) {
            for link in links(of: unit) where succeeds(link) {
                vary(minimal(link))
                break
            }
        }
    }

    /// Moves the starting point to where no size is 0.
    private mutating func leaveZero() {
        for unit in units.indices where base[unit] == 0 {
            let alone = Link.sum(lead: unit, [unit])
            search: for link in [alone] + links(of: unit) {
                for size in [3, 2] {
                    if let sizes = sizes(link, changing: size), attempt(sizes) {
                        base = sizes
                        break search
                    }
                }
            }
        }
    }

    // MARK: Links

    private func isVaried(_ unit: Int) -> Bool {
        Set(successes.filter { !$0.contains(0) || successes.count == 1 }.map { $0[unit] }).count > 1
    }

    /// The groups to try for a size that does not change alone, the likeliest first.
    private func links(of unit: Int) -> [Link] {
        let open = units.indices.filter { !isVaried($0) }
        func equal(_ size: Int, among candidates: some Sequence<Int>) -> Set<Int> {
            Set(candidates.filter { base[$0] == size })
        }
        var links: [Link] = []
        let own = equal(base[unit], among: open).union([unit])
        let whole = equal(base[unit], among: units.indices)
        for group in [own, whole] where group.count > 1 { links.append(.sum(lead: unit, group)) }
        let others = Set(base).subtracting([base[unit]]).sorted()
        for other in others {
            let group = equal(other, among: units.indices)
            for first in [Set([unit]), own, whole] { links.append(.sum(lead: unit, first.union(group))) }
        }
        // Sizes that are equal by chance: a mask's length is the present's where the past is empty.
        for other in units.indices.prefix(24) where other != unit {
            links.append(.sum(lead: unit, [unit, other]))
            if own.count > 1, !own.contains(other) { links.append(.sum(lead: unit, own.union([other]))) }
        }
        for other in others
        where base[unit] > 0 && other > 0 && (other % base[unit] == 0 || base[unit] % other == 0) {
            links.append(.multiple(lead: unit, own.union(equal(other, among: open))))
            links.append(.multiple(lead: unit, whole.union(equal(other, among: units.indices))))
        }
        let rest = Set(units.indices.filter { !units[$0].isFirst || $0 == unit })
        links.append(.sum(lead: unit, rest))
        links.append(.multiple(lead: unit, rest))
        return links
    }

    private mutating func succeeds(_ link: Link) -> Bool {
        for size in Self.larger(base[link.lead]).prefix(2) + Self.smaller(base[link.lead]).prefix(2) {
            if attempt(link, size) { return true }
        }
        return false
    }

    /// The link without the sizes that need not change with the others.
    private mutating func minimal(_ link: Link) -> Link {
        guard link.members.count <= 32,
            let size = (Self.larger(base[link.lead]) + Self.smaller(base[link.lead])).first(where: {
                sizes(link, changing: $0).map { runs[$0] != nil } ?? false
            })
        else { return link }
        var members = link.members
        for member in link.members.sorted() where member != link.lead {
            let fewer = members.subtracting([member])
            let shorter: Link =
                if case .sum = link { .sum(lead: link.lead, fewer) } else {
                    .multiple(lead: link.lead, fewer)
                }
            if attempt(shorter, size) { members = fewer }
        }
        if case .sum = link { return .sum(lead: link.lead, members) }
        return .multiple(lead: link.lead, members)
    }

    /// Runs at up to two larger sizes and two smaller ones, some even and some odd.
    private mutating func vary(_ link: Link) {
        let wanted = units[link.lead].isFirst ? 1 : 2
        for candidates in [Self.larger(base[link.lead]), Self.smaller(base[link.lead])] {
            var found = 0
            for size in candidates where found < wanted { if attempt(link, size) { found += 1 } }
        }
    }

    private static func larger(_ size: Int) -> [Int] {
        guard size < 64 else {
            return distinct(
                [size + size / 2, size + size / 2 + 1, size + 32, size + 64, size + 1, size * 2], above: size)
        }
        return distinct(
            [size * 2 + 1, size * 2, size + 1, size + 2, size + 4, size + 8, size + 16, size + 32],
            above: size)
    }

    private static func smaller(_ size: Int) -> [Int] {
        distinct([
            size / 2, size / 2 | 1, size - 1, size - 2, size - 4, size - 8, size - 16, size - 32, size - 64,
        ])
        .filter { $0 > 1 && $0 < size }
    }

    private static func distinct(_ sizes: [Int], above least: Int = 0) -> [Int] {
        var met: Set<Int> = []
        return sizes.filter { $0 > least && met.insert($0).inserted }
    }

    // MARK: Running

    /// All sizes when the link's lead has size `size`; `nil` where a factor gives no whole size.
    private func sizes(_ link: Link, changing size: Int) -> [Int]? {
        var result = base
        for member in link.members {
            switch link {
            case .sum(let lead, _): result[member] += size - base[lead]
            case .multiple(let lead, _):
                guard base[lead] > 0, base[member] * size % base[lead] == 0 else { return nil }
                result[member] = base[member] * size / base[lead]
            }
        }
        return result.allSatisfy { $0 >= 0 } && link.members.allSatisfy { result[$0] > 0 } ? result : nil
    }

    private mutating func attempt(_ link: Link, _ size: Int) -> Bool {
        sizes(link, changing: size).map { attempt($0) } ?? false
    }

    /// Whether the model runs at these sizes; remembers the shapes.
    private mutating func attempt(_ sizes: [Int]) -> Bool {
        if runs[sizes] != nil { return true }
        guard !failed.contains(sizes), attemptsLeft > 0 else { return false }
        attemptsLeft -= 1
        let elements = inputShapes(sizes).reduce(0) { $0 + $1.reduce(1, *) }
        guard elements <= limit, let shapes = try? run(tensors(sizes)) else {
            failed.insert(sizes)
            return false
        }
        runs[sizes] = shapes
        successes.append(sizes)
        return true
    }

    private func inputShapes(_ sizes: [Int]) -> [[Int]] {
        var shapes = arrays.map(\.shape)
        for (unit, size) in zip(units, sizes) {
            for place in unit.axes { shapes[place.input][place.axis] = size }
        }
        return shapes
    }

    private func tensors(_ sizes: [Int]) throws -> [Tensor] {
        try zip(arrays, inputShapes(sizes)).map { try Tensor($0.resized(to: $1)) }
    }
}
