internal import ONNX

/// A tensor of a model that training changes.
public struct TrainableParameter: Sendable, Hashable {
    /// The initialiser's value.
    public let value: Int
    /// Its name in the file.
    public let name: String
    /// Its shape.
    public let shape: [Int]
    /// The first vertex that reads it in a way that trains it, by name and operator.
    public let reader: String

    /// How many numbers it has.
    public var count: Int { shape.reduce(1, *) }
    /// Whether weight decay shrinks it: matrices, kernels and tables, but no biases, scales and shifts.
    public var decays: Bool { shape.count { $0 > 1 } > 1 }
}

extension Graph {
    /// The parameters that training changes: initialisers that a layer reads as its weights, biases, scales, shifts or tables,
    /// directly or through nodes that compute nothing but them. Each stands once, however many layers read it.
    ///
    /// Numbers that an export writes besides, such as an epsilon or the root of a width, running means and variances, sines of
    /// positions and attention masks are none.
    ///
    /// - Parameters:
    ///   - train: of those, the ones whose names have a match of this regular expression; `nil` for all.
    ///   - freeze: without those whose names have a match of this one.
    ///   - mask: what is removed: parameters that nothing reads any more are none.
    /// - Throws: `GraphError` for a pattern that is none, or one that leaves nothing to train.
    public func trainableParameters(
        train: String? = nil, freeze: String? = nil, under mask: Mask = .empty
    ) throws(GraphError) -> [TrainableParameter] {
        let (wanted, unwanted) = (try Self.expression(train), try Self.expression(freeze))
        let all = trainableParameters(Liveness(of: self, under: mask).isLive)
        guard !all.isEmpty else {
            throw .nothingToTrain(
                vertices.contains { !$0.facts.parameters.integer.isEmpty }
                    ? "its weights are quantised: training needs floating-point weights"
                    : "no layer reads floating-point weights from the file")
        }
        let chosen = all.filter { parameter in
            (wanted.map { parameter.name.contains($0) } ?? true)
                && !(unwanted.map { parameter.name.contains($0) } ?? false)
        }
        guard !chosen.isEmpty else {
            throw .nothingToTrain("the patterns leave none of its \(all.count) parameters")
        }
        return chosen
    }

    private static func expression(_ pattern: String?) throws(GraphError) -> Regex<AnyRegexOutput>? {
        guard let pattern else { return nil }
        do { return try Regex(pattern) } catch { throw .badPattern(pattern, reason: "\(error)") }
    }

    private func trainableParameters(_ isLive: [Bool]) -> [TrainableParameter] {
        let known = parameters
        var readers: [Int: Int] = [:]
        for vertex in order.map({ vertices[$0] })
        where isLive[vertex.index]
            && vertex.outputs.contains(where: { $0.map { values[$0].dependsOnData } ?? false })
        {
            for (slot, input) in vertex.inputs.enumerated() {
                guard let input, !values[input].dependsOnData else { continue }
                for value in sources(of: input) where known.contains(value) && readers[value] == nil {
                    if vertex.facts.trained.admits(slot, values[value].constant) {
                        readers[value] = vertex.index
                    }
                }
            }
        }
        return readers.sorted { $0.key < $1.key }.map { value, reader in
            TrainableParameter(
                value: value, name: values[value].name, shape: values[value].constant?.shape ?? [],
                reader: "\(vertices[reader].name) (\(vertices[reader].operation))")
        }
    }

    /// The initialisers that a value follows from which depends on nothing else; of scales and offsets of stored whole numbers
    /// none.
    private func sources(of value: Int) -> [Int] {
        var (found, seen): ([Int], Set<Int>) = ([], [value])
        var pending = [value]
        while let next = pending.popLast() {
            guard let producer = values[next].producer else {
                found.append(next)
                continue
            }
            let vertex = vertices[producer]
            // A size follows from data without depending on them: no way back through what computes these.
            guard let first = vertex.inputs.first.flatMap({ $0 }), values[first].elementType.isFloatingPoint,
                !vertex.facts.readsOnlyShape
            else { continue }
            pending += vertex.inputs.compactMap { $0 }.filter { seen.insert($0).inserted }
        }
        return found
    }
}

extension TrainedOperands {
    /// The largest magnitude of what can be a bias or a table; masks have numbers that stand for minus infinity.
    private static let largestAddend: Float = 1000

    /// Whether training changes a constant that enters through a slot.
    fileprivate func admits(_ slot: Int, _ constant: TensorData?) -> Bool {
        guard let constant else { return false }
        let long = constant.shape.count { $0 > 1 }
        switch self {
        case .none: return false
        case .slots(let slots): return slots.contains(slot)
        case .factors: return long == 1
        case .addends:
            return long > 0
                && (try? constant.floats)?.allSatisfy { abs($0) < TrainedOperands.largestAddend } ?? false
        }
    }
}
