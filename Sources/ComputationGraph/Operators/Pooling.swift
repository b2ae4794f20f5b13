internal import ONNX

/// Pooling over windows that slide, over all positions or over regions.
extension OperatorFacts {
    static let pooling: [String: OperatorFacts] = [
        "AveragePool": sliding(
            preservesZeros: inFirst, sign: signOfFirst,
            evaluation: .first { evaluation in
                guard let data = try evaluation.evenlySpread() else { return nil }
                let countsPadding = try evaluation.vertex.node.int("count_include_pad", default: 0) != 0
                return try data.isZero || !countsPadding || evaluation.hasNoPadding ? data : nil
            }),
        "GlobalAveragePool": global(
            preservesZeros: inFirst, sign: signOfFirst,
            evaluation: .first { try $0.globallyPooled(0, +) { $0 / Double($1) } }),
        "GlobalLpPool": global(),
        "GlobalMaxPool": global(
            preservesZeros: inFirst, sign: signOfFirst,
            evaluation: .first { try $0.globallyPooled(-.infinity, { max($0, $1) }) { total, _ in total } }),
        "LpPool": sliding(),
        "MaxPool": sliding(
            outputType: firstAnd(.int64), preservesZeros: inFirst, sign: signOfFirst,
            evaluation: .first { try $0.evenlySpread() }),
        "MaxRoiPool": OperatorFacts(),
        "MaxUnpool": OperatorFacts(shape: .elements([2])),
        "RoiAlign": OperatorFacts(),
    ]

    /// Pooling over windows: one operation for each element of each window.
    private static func sliding(
        outputType: @escaping @Sendable (OutputTyping) -> ElementType? = { $0.input(0) },
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = nowhere,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        evaluation: ConstantRule? = nil
    ) -> OperatorFacts {
        OperatorFacts(
            outputType: outputType,
            sizes: { tracing, output in
                guard let first = tracing.input(output.vertex, 0), first.count >= 2 else { return nil }
                return first.prefix(2) + tracing.opened(first.dropFirst(2))
            }, derivedSize: .slidingWindow(weights: nil), axes: pooledAxes, preservesZeros: preservesZeros,
            sign: sign,
            operations: {
                // Where the model did not run, the kernel may be any numbers.
                guard $0.outputElements > 0 else { return 0 }
                let kernel = $0.node.attribute.first { $0.name == "kernel_shape" }?.ints
                return $0.outputElements * (kernel?.reduce(1) { $0 * Int($1) } ?? 1)
            }, role: .layer, evaluation: evaluation, simplifications: [sameChannels, .onceForAllSamples])
    }

    /// Pooling over all positions.
    private static func global(
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = nowhere,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        evaluation: ConstantRule? = nil
    ) -> OperatorFacts {
        OperatorFacts(
            sizes: { tracing, output in
                tracing.input(output.vertex, 0).map { $0.prefix(2) + $0.dropFirst(2).map { _ in .known } }
            }, axes: pooledAxes, preservesZeros: preservesZeros, sign: sign, operations: perInput,
            role: .layer,
            evaluation: evaluation, simplifications: [sameChannels, .onceForAllSamples])
    }

    /// Samples and channels stay apart, positions in an image mix.
    static let pooledAxes: AxisRule = { query in
        guard let before = query.input(0), let after = query.output, before.count >= 2,
            before.prefix(2) == after.prefix(2)
        else { return nil }
        var builder = AxisMapBuilder()
        let common = builder.axes(before.prefix(2))
        let input = common + builder.axes(before.dropFirst(2), .mixed)
        let output = common + builder.axes(after.dropFirst(2), .mixed)
        return builder.map(
            inputs: [input] + query.inputs.dropFirst().map { _ in nil },
            outputs: query.outputs.map { $0 == nil ? nil : output })
    }

    /// Channels are pooled one by one.
    private static let sameChannels = Simplification.carrying { $0.same($0.axis == 1) }
}

extension Evaluation {
    /// A constant input of pooling that is the same all over its spatial axes.
    fileprivate func evenlySpread() throws -> Constant? {
        guard let data = try constant(0), data.rank >= 3 else { return nil }
        return data.shape.dropFirst(2).allSatisfy { $0 == 1 } ? data : nil
    }

    /// The constant input with its spatial axes gathered into one position each; `finish` gets the result and how many.
    fileprivate func globallyPooled(
        _ initial: Double, _ step: (Double, Double) -> Double, _ finish: (Double, Int) -> Double
    ) throws -> Constant? {
        guard let data = try constant(0), data.rank >= 3 else { return nil }
        return data.folded(over: Array(2..<data.rank), initial, step, finish)
    }

    /// Whether a convolution or pooling reads nothing outside its input.
    var hasNoPadding: Bool {
        get throws {
            let automatic = try vertex.node.string("auto_pad", default: "NOTSET")
            if automatic == "VALID" { return true }
            guard automatic == "NOTSET" || automatic.isEmpty else { return false }
            return try vertex.node.ints("pads", default: []).allSatisfy { $0 == 0 }
                && vertex.node.int("ceil_mode", default: 0) == 0
        }
    }
}
