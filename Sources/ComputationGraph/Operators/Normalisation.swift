internal import BitCollections
internal import Glibc
internal import ONNX

/// Normalisations along channels, layers or groups, and softmax along an axis.
extension OperatorFacts {
    static let normalisation: [String: OperatorFacts] = [
        "BatchNormalization": OperatorFacts(
            sizes: likeFirst, axes: batchNormalisedAxes, operations: { 2 * $0.outputElements },
            // No training step changes the running mean and variance.
            parameters: ParameterSlots(floatingPoint: 0..<3), role: .layer,
            isTraining: isTrainingBatchNormalisation, affine: .batchNormalisation, normalisation: .channels,
            evaluation: .first { try $0.batchNormalisation() },
            simplifications: [
                .carrying { $0.axis == 1 ? CarriedAxes(slots: [1, 0, 0, 0, 0], output: 1) : nil },
                .onceForAllSamples,
            ]),
        "GroupNormalization": normalising(
            sizes: likeFirst, axes: normalisedGroups, slicing: countingGroups, normalisation: .channels),
        "Hardmax": OperatorFacts(axes: alongAxis),
        "InstanceNormalization": normalising(
            sizes: likeFirst, axes: normalisedChannels { Array(2..<$0) }, normalisation: .channels,
            evaluation: .first { try $0.instanceNormalisation() },
            simplifications: [
                .carrying { $0.axis == 1 ? CarriedAxes(slots: [1, 0, 0], output: 1) : nil },
                .onceForAllSamples,
            ]),
        "LRN": normalising(
            sizes: likeFirst, axes: mixing { _, rank in rank > 1 ? [1] : nil },
            simplifications: [.onceForAllSamples]),
        "LayerNormalization": normalising(
            sizes: likeFirst, axes: lastAxes, slicing: keepingStatistics, normalisation: .lastAxes,
            evaluation: .first { try $0.layerNormalisation() },
            simplifications: [
                .carrying { try $0.same($0.axis < $0.resolved($0.vertex.node.int("axis", default: -1))) },
                .onceWhereSamplewise { _, vertex, rank in
                    let axis = try vertex.node.int("axis", default: -1)
                    return axis < 0 ? axis > -rank : axis > 0
                },
            ]),
        "LogSoftmax": softmax(sign: { _ in .any }) { $0 - $1 - log($2) },
        // Zero divided by the norm of zeros.
        "LpNormalization": normalising(
            axes: mixing { query, rank in try query.axis(default: -1, rank: rank).map { [$0] } },
            spoils: anywhere),
        "MeanVarianceNormalization": OperatorFacts(operations: { 5 * $0.outputElements }),
        // Zero over the root of epsilon, and what it is multiplied by.
        "RMSNormalization": OperatorFacts(
            outputType: typeOf(1), axes: lastAxes, slicing: keepingStatistics,
            preservesZeros: { $0.slot == 1 || $0.slot == 0 && $0.number("epsilon", default: 1e-5) > 0 },
            operations: { 4 * $0.outputElements }, role: .layer, trained: .slots(1..<2)),
        "Softmax": softmax(sign: nonNegative) { exp($0 - $1) / $2 },
    ]

    private static func normalising(
        sizes: SizeRule? = nil, axes: AxisRule? = nil, slicing: SlicingRule? = nil,
        spoils: (@Sendable (FinitenessRisk.Site) -> Bool)? = nil, normalisation: NormalisationForm? = nil,
        evaluation: ConstantRule? = nil, simplifications: [Simplification] = []
    ) -> OperatorFacts {
        OperatorFacts(
            sizes: sizes, axes: axes, slicing: slicing, spoils: spoils, operations: { 5 * $0.outputElements },
            role: .layer,
            normalisation: normalisation, evaluation: evaluation, simplifications: simplifications)
    }

    private static func softmax(
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign,
        _ element: @escaping @Sendable (Double, Double, Double) -> Double
    ) -> OperatorFacts {
        OperatorFacts(
            sizes: likeFirst, axes: alongAxis, sign: sign, operations: { 3 * $0.outputElements },
            evaluation: .first { try $0.softmax(element) },
            simplifications: [
                .carrying { input in
                    // Before opset 13 the operator flattens all axes from its own on.
                    let isOld = input.vertex.version < 13
                    let own = input.resolved(try input.vertex.node.int("axis", default: isOld ? 1 : -1))
                    return input.same(isOld ? input.axis < own : input.axis != own)
                }
            ])
    }

    // MARK: Axes

    /// Along one axis; before opset 13 along all axes from it on.
    private static let alongAxis: AxisRule = mixing { query, rank in
        let isOld = query.vertex.version < 13
        return try query.axis(default: isOld ? 1 : -1, rank: rank).map { isOld ? Array($0..<rank) : [$0] }
    }

    /// Along all axes from one on.
    private static let lastAxes: AxisRule = mixing(.averaged) { query, rank in
        try query.axis(default: -1, rank: rank).map { Array($0..<rank) }
    }

    /// Mean and variance stay those of all positions: of zeros where some went.
    private static let keepingStatistics: SlicingRule = { node in
        guard let shape = node.shape() else { return }
        let named = try node.vertex.node.int("axis", default: -1)
        let first = named < 0 ? named + shape.count : named
        node.widen(shape.indices.filter { $0 >= first && !node.lost(axis: $0).isEmpty })
    }

    /// Channel by channel; statistics of the batch mix all others.
    private static let batchNormalisedAxes: AxisRule = { query in
        let isTraining = query.vertex.node.attribute("training_mode")?.i == 1
        return try normalisedChannels { rank in isTraining ? [0] + Array(2..<max(2, rank)) : [] }(query)
    }

    /// Channel by channel, with vectors over the channels.
    ///
    /// - Parameter mixed: the axes along which positions mix, given the rank.
    private static func normalisedChannels(_ mixed: @escaping @Sendable (Int) -> [Int]) -> AxisRule {
        { query in
            guard let shape = query.input(0), shape.count >= 2, query.output == shape,
                query.inputs.dropFirst().allSatisfy({ $0 == [shape[1]] })
            else { return nil }
            let chosen = mixed(shape.count)
            var builder = AxisMapBuilder()
            var axes: [AxisMap.Axis] = []
            for (axis, size) in shape.enumerated() {
                axes.append(builder.axis(size, chosen.contains(axis) ? .mixed : .separate))
            }
            return builder.map(
                inputs: [axes] + query.inputs.dropFirst().map { _ in [axes[1]] },
                outputs: [axes] + query.outputs.dropFirst().map { _ in nil })
        }
    }

    /// The channels of a group mix; scale and bias are vectors over the channels, before opset 21 over the groups.
    private static let normalisedGroups: AxisRule = { query in
        guard let shape = query.input(0), shape.count >= 2, query.output == shape else { return nil }
        let groups = try query.vertex.node.int("num_groups")
        guard groups > 0, shape[1] % groups == 0 else { return nil }
        var builder = AxisMapBuilder()
        let group = builder.axis(groups)
        let channels = builder.product(group, builder.axis(shape[1] / groups, .mixed))
        let axes = [builder.axis(shape[0]), channels] + builder.axes(shape[2...], .mixed)
        let vectors = query.inputs.dropFirst().map { vector -> [AxisMap.Axis]? in
            vector == [shape[1]] ? [channels] : vector == [groups] ? [group] : nil
        }
        return builder.map(inputs: [axes] + vectors, outputs: [axes])
    }

    /// Groups go as a whole.
    private static let countingGroups: SlicingRule = { node in
        guard let shape = node.shape() else { return }
        let groups = try node.vertex.node.int("num_groups")
        node.set("num_groups", node.size(axis: 1) / max(1, shape[1] / max(1, groups)))
    }

    /// A batch normalisation that computes mean and variance of the batch, or gives them out.
    private static let isTrainingBatchNormalisation: @Sendable (Graph, Vertex) -> Bool = { graph, vertex in
        let isRead = vertex.outputs.dropFirst().contains { output in
            output.map { graph.isPinned[$0] || !graph.consumers[$0].isEmpty } ?? false
        }
        // Weights that are standardised so are the same for every batch.
        guard vertex.inputs.first.flatMap({ $0 }).map({ graph.values[$0].dependsOnData }) ?? true else {
            return false
        }
        return isRead || vertex.node.attribute("training_mode")?.i == 1
    }
}

/// Normalisations of a constant input. Means over repeated elements are those over the elements themselves.
extension Evaluation {
    fileprivate func batchNormalisation() throws -> Constant? {
        guard let data = try constant(0), data.rank > 0 else { return nil }
        guard try vertex.node.int("training_mode", default: 0) == 0, data.rank >= 2 else { return nil }
        let epsilon = try Double(vertex.node.float("epsilon", default: 1e-5))
        guard let scale = try channels(1, data.rank), let bias = try channels(2, data.rank),
            let mean = try channels(3, data.rank), let variance = try channels(4, data.rank)
        else { return nil }
        return combine([data, scale, bias, mean, variance]) {
            ($0[0] - $0[3]) / ($0[4] + epsilon).squareRoot() * $0[1] + $0[2]
        }
    }

    fileprivate func instanceNormalisation() throws -> Constant? {
        guard let data = try constant(0), data.rank > 0 else { return nil }
        guard data.rank >= 3, let scale = try channels(1, data.rank),
            let bias = try channels(2, data.rank)
        else { return nil }
        return try standardised(data, over: Array(2..<data.rank), scale: scale, bias: bias)
    }

    fileprivate func layerNormalisation() throws -> Constant? {
        guard let data = try constant(0), data.rank > 0 else { return nil }
        guard let axis = try vertex.axis(default: -1, rank: data.rank) else { return nil }
        guard let scale = try constant(1) else { return nil }
        let bias = try constant(2)
        if isPresent(2), bias == nil { return nil }
        return try standardised(data, over: Array(axis..<data.rank), scale: scale, bias: bias)
    }

    /// A vector over the channels, as a constant that broadcasts along axis 1.
    fileprivate func channels(_ slot: Int, _ rank: Int) throws -> Constant? {
        guard let vector = try constant(slot), vector.rank == 1 else { return nil }
        return vector.reshaped([1, vector.count] + [Int](repeating: 1, count: rank - 2))
    }

    fileprivate func standardised(
        _ data: Constant, over axes: [Int], scale: Constant, bias: Constant?
    ) throws -> Constant? {
        let epsilon = try Double(vertex.node.float("epsilon", default: 1e-5))
        let mean = data.folded(over: axes, 0, +) { $0 / Double($1) }
        guard let centred = combine([data, mean], { $0[0] - $0[1] }) else { return nil }
        let variance = centred.mapped { $0 * $0 }.folded(over: axes, 0, +) { $0 / Double($1) }
        guard
            let unit = combine([data, mean, variance], { ($0[0] - $0[1]) / ($0[2] + epsilon).squareRoot() })
        else { return nil }
        let shift = bias ?? Constant(data.elementType, rank: 0)
        return combine([unit, scale, shift]) { $0[0] * $0[1] + $0[2] }
    }

    /// Softmax of a constant input, and functions like it.
    ///
    /// - Parameter element: of an element, the largest along the axis, and the sum of the powers relative to that.
    fileprivate func softmax(_ element: (Double, Double, Double) -> Double) throws -> Constant? {
        guard let data = try constant(0), data.rank > 0 else { return nil }
        guard let extents = inputs[0].extents else { return nil }
        guard let axis = try vertex.axis(default: vertex.version < 13 ? 1 : -1, rank: data.rank) else {
            return nil
        }
        // Before opset 13 the operator flattens all axes from `axis` on.
        let axes = vertex.version < 13 ? Array(axis..<data.rank) : [axis]
        var whole = data.shape
        for axis in axes {
            guard let size = extents[axis].fixed else { return nil }
            whole[axis] = size
        }
        let repetitions = axes.reduce(1) { $0 * whole[$1] / data.shape[$1] }
        let largest = data.folded(over: axes, -.infinity, { max($0, $1) }) { total, _ in total }
        guard let powers = combine([data, largest], { exp($0[0] - $0[1]) }) else { return nil }
        let total = powers.folded(over: axes, 0, +) { total, _ in total * Double(repetitions) }
        return combine([data, largest, total]) { element($0[0], $0[1], $0[2]) }
    }
}
