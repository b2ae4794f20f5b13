internal import ONNX

/// Which values a mask may make infinite or NaN that are finite without it.
///
/// Zero times such a value is NaN, not zero. Whoever passes zeros through a product has to know that its other factor is
/// finite. A removed edge can spoil a value where a layer divides by what depends on it, or takes its root, logarithm or
/// power; a divisor that provably stays above a constant (x + ε of what is not negative, Max(x, ε), Clip) does no harm.
/// Numbers that merely become too large are not foreseen.
struct FinitenessRisk {
    /// What is certain of a value's elements.
    enum Sign: Int, Comparable {
        case any, nonNegative, positive
        static func < (left: Sign, right: Sign) -> Bool { left.rawValue < right.rawValue }
    }

    /// A vertex, and what is certain of what it reads under the mask.
    struct Site {
        let graph: Graph
        let vertex: Vertex
        /// By slot, what is certain of the elements that enter.
        let signs: [Sign]
        /// By slot, whether the mask removes the edge.
        let isCut: [Bool]
        /// By slot, whether what enters is another than without the mask.
        let changes: [Bool]
        /// The removed slots.
        let cuts: Cuts

        /// The slots that something enters.
        var slots: [Int] { vertex.inputs.indices.filter { vertex.inputs[$0] != nil } }
        /// What is certain of the elements in a slot; of an empty one nothing is.
        func sign(_ slot: Int) -> Sign { signs.indices.contains(slot) ? signs[slot] : .any }
        /// What is certain of every operand.
        var least: Sign { slots.map(sign).min() ?? .any }
        /// What is certain of the largest operand.
        var most: Sign { slots.map(sign).max() ?? .any }
        /// Whether what enters a slot is another than without the mask.
        func isChanged(_ slot: Int) -> Bool { changes.indices.contains(slot) && changes[slot] }
        /// Whether the mask removes an edge into the vertex that makes what enters a slot.
        func followsCut(_ slot: Int) -> Bool {
            guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot],
                let producer = graph.values[value].producer
            else { return false }
            return !cuts[producer].isEmpty
        }
        /// The numbers in a slot, where the file holds them.
        func constants(_ slot: Int) -> [Double]? {
            guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot] else { return nil }
            return try? graph.constantData(value)?.doubles
        }
    }

    /// By value: whether it may be infinite or NaN because of the mask.
    private let isRisky: [Bool]

    /// Whether a mask can have made the value infinite or NaN.
    subscript(value: Int) -> Bool { isRisky[value] }

    /// Works out what `mask` may spoil.
    init(_ graph: Graph, _ mask: Mask) {
        let cuts = Cuts(mask, in: graph)
        var isRisky = [Bool](repeating: false, count: graph.values.count)
        var isAffected = isRisky
        var signs = [Sign](repeating: .any, count: graph.values.count)
        var storedSigns: [Int: Sign] = [:]

        for index in graph.order {
            let vertex = graph.vertices[index]
            var (operandSigns, isCut, changes): ([Sign], [Bool], [Bool]) = ([], [], [])
            var affected = vertex.captured.contains { isAffected[$0] }
            var risky = vertex.captured.contains { isRisky[$0] }
            for (slot, value) in vertex.inputs.enumerated() {
                guard let value else {
                    operandSigns.append(.any)
                    isCut.append(cuts.contains(index, slot))
                    changes.append(false)
                    continue
                }
                // Only zeros are certain; a mean or a layer's input is whatever it is.
                let source = cuts.source(index, slot)
                isCut.append(source == .zero)
                changes.append(source != nil || isAffected[value])
                affected = affected || changes[slot]
                let read = cuts.value(read: slot, of: vertex)
                risky = risky || (read.map { isRisky[$0] } ?? false)
                if let source, source != .zero {
                    if case .value(let other) = source {
                        operandSigns.append(signs[other])
                    } else {
                        operandSigns.append(.any)
                    }
                } else if isCut[slot] {
                    operandSigns.append(.nonNegative)
                } else if graph.values[value].dependsOnData {
                    operandSigns.append(signs[value])
                } else if let known = storedSigns[value] {
                    operandSigns.append(known)
                } else {
                    let found = max(Self.sign(of: value, in: graph), signs[value])
                    storedSigns[value] = found
                    operandSigns.append(found)
                }
            }
            let site = Site(
                graph: graph, vertex: vertex, signs: operandSigns, isCut: isCut, changes: changes, cuts: cuts)
            if affected, !risky { risky = vertex.facts.spoils?(site) ?? false }
            let result = vertex.facts.sign(site)
            for case let output? in vertex.outputs {
                isAffected[output] = affected
                isRisky[output] = risky
                signs[output] = result
            }
        }
        self.isRisky = isRisky
    }

    /// What is certain of a constant of the file: large ones are not looked at.
    private static func sign(of value: Int, in graph: Graph) -> Sign {
        guard let data = try? graph.constantData(value), data.count > 0, data.count <= 4096,
            let numbers = data.elementType.isFloatingPoint ? try? data.doubles : nil
        else { return .any }
        return numbers.allSatisfy { $0 > 0 }
            ? .positive : numbers.allSatisfy { $0 >= 0 } ? .nonNegative : .any
    }
}
