internal import ONNX

/// Convolutions of floating-point numbers.
extension OperatorFacts {
    static let convolutions: [String: OperatorFacts] = [
        "Col2Im": OperatorFacts(shape: .elements([1, 2]), axes: foldedAxes),
        "Conv": OperatorFacts(
            sizes: convolvedSizes, derivedSize: .slidingWindow(weights: 1),
            axes: { try convolvedAxes($0, isTransposed: false) }, slicing: countingGroups,
            preservesZeros: withoutBias,
            operations: { 2 * $0.outputElements * kernelElements($0) + bias($0) }, role: .product,
            hasWeights: true, linear: .convolution,
            evaluation: .first { try $0.convolution(isTransposed: false) },
            simplifications: [.partial { try $0.rewriteConvolution($1, $2, $3) }, .onceForAllSamples]),
        "ConvTranspose": OperatorFacts(
            sizes: convolvedSizes, axes: { try convolvedAxes($0, isTransposed: true) },
            slicing: countingGroups, preservesZeros: withoutBias,
            operations: { 2 * $0.inputElements * kernelElements($0) + bias($0) }, role: .product,
            hasWeights: true, linear: .transposedConvolution,
            evaluation: .first { try $0.convolution(isTransposed: true) },
            simplifications: [
                .partial { try $0.rewriteTransposedConvolution($1, $2, $3) }, .onceForAllSamples,
            ]),
        "DeformConv": OperatorFacts(role: .product, hasWeights: true),
    ]

    /// Windows laid out in an image: each channel's own, all of its places with all of the window's.
    private static let foldedAxes: AxisRule = { query in
        guard let shape = query.input(0), shape.count == 3, let output = query.output, output.count >= 3,
            output[1] > 0, shape[1].isMultiple(of: output[1])
        else { return nil }
        var builder = AxisMapBuilder()
        let samples = builder.axis(shape[0])
        let channels = builder.axis(output[1])
        let window = builder.axis(shape[1] / output[1], .mixed)
        let places = builder.axis(shape[2], .mixed)
        let image = builder.axes(output[2...], .mixed)
        return builder.map(
            inputs: [[samples, builder.product(channels, window), places], nil, nil],
            outputs: [[samples, channels] + image])
    }

    /// Zeros stay zeros where no bias is added.
    private static let withoutBias: @Sendable (InputSlot) -> Bool = { $0.slot == 0 && !$0.hasInput(2) }

    /// The weights that one input or output channel is multiplied with; none where they are not known.
    private static func kernelElements(_ node: FloatingPointOperations) -> Int {
        node.input(1)?.dropFirst().reduce(1, *) ?? 0
    }

    private static func bias(_ node: FloatingPointOperations) -> Int {
        node.input(1) == nil ? 0 : node.biasOperations
    }

    /// The channels of both sides are groups times the channels of one; those of the input are summed over.
    private static func convolvedAxes(_ query: AxisQuery, isTransposed: Bool) throws -> AxisMap? {
        let groups = try query.vertex.node.int("group", default: 1)
        guard let before = query.input(0), let weight = query.input(1), let after = query.output, groups > 0,
            before.count >= 2, after.count == before.count, weight.count == before.count,
            before[1] % groups == 0, after[1] % groups == 0
        else { return nil }
        var builder = AxisMapBuilder()
        let (sample, group) = (builder.axis(before[0]), builder.axis(groups))
        let read = builder.axis(before[1] / groups, .summed)
        let written = builder.axis(after[1] / groups)
        let input = [sample, builder.product(group, read)] + builder.axes(before[2...], .mixed)
        let channels = builder.product(group, written)
        let output = [sample, channels] + builder.axes(after[2...], .mixed)
        let kernel = builder.axes(weight[2...], .mixed)
        let weights = isTransposed ? [builder.product(group, read), written] : [channels, read]
        let bias = query.input(2).map { _ in [channels] }
        return builder.map(
            inputs: Array([input, weights + kernel, bias].prefix(query.inputs.count)), outputs: [output])
    }

    /// Groups go as a whole, or every one loses as many channels.
    private static let countingGroups: SlicingRule = { node in
        guard try node.vertex.node.int("group", default: 1) > 1 else { return }
        // A kernel's second axis has the channels of one group, of the input or of a transposed one's output.
        let isTransposed = node.vertex.facts.linear == .transposedConvolution
        let channels = isTransposed ? node.size(axis: 1) : node.size(ofInput: 0, axis: 1)
        node.set("group", channels / max(1, node.size(ofInput: 1, axis: 1)))
    }

    private static let convolvedSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0), first.count >= 2,
            let weight = tracing.input(output.vertex, 1), !weight.contains(where: \.isOpen)
        else { return nil }
        return [first[0], .known] + tracing.opened(first.dropFirst(2))
    }
}

extension Evaluation {
    /// Convolution of zeros, of a value that is the same at every position, or of a small fixed one.
    /// A transposed one, of zeros alone.
    fileprivate func convolution(isTransposed: Bool) throws -> Constant? {
        guard outputRank >= 3 else { return nil }
        let bias: Constant
        if isPresent(2) {
            guard let vector = try constant(2) else { return nil }
            bias = vector.reshaped([1, vector.count] + [Int](repeating: 1, count: outputRank - 2))
        } else {
            bias = zero
        }
        if hasZeroFactor { return bias }
        guard !isTransposed, let data = try constant(0), let weight = try constant(1),
            weight.rank == data.rank
        else { return nil }
        let groups = try vertex.node.int("group", default: 1)
        let spatial = data.shape[2...]
        let isUniform = spatial.allSatisfy { $0 == 1 }
        let outputs = weight.shape[0]
        guard groups > 0, outputs % groups == 0,
            let channels = data.expanded(to: [data.shape[0], weight.shape[1] * groups] + spatial)
        else { return nil }
        if isUniform, try hasNoPadding {
            let total = Self.tapSums(channels, weight, groups: groups).folded(over: [2], 0, +) { total, _ in
                total
            }
            return combine([total.reshaped([data.shape[0], outputs] + spatial), bias]) { $0[0] + $0[1] }
        }
        return try borderedConvolution(channels, weight, bias: bias, groups: groups, isUniform: isUniform)
    }

    /// For every sample, output channel and kernel position, the sum over input channels of weight times input,
    /// for an input that is the same at every position: `[N, O, K]`.
    private static func tapSums(_ data: Constant, _ weight: Constant, groups: Int) -> Constant {
        let (outputs, depth) = (weight.shape[0], weight.shape[1])
        let taps = weight.shape[2...].reduce(1, *)
        var sums = [Double](repeating: 0, count: data.shape[0] * outputs * taps)
        for sample in 0..<data.shape[0] {
            for output in 0..<outputs {
                let first = sample * data.shape[1] + output / (outputs / groups) * depth
                for channel in 0..<depth {
                    let factor = data.elements[first + channel]
                    if factor == 0 { continue }
                    for tap in 0..<taps {
                        sums[(sample * outputs + output) * taps + tap] +=
                            factor * weight.elements[(output * depth + channel) * taps + tap]
                    }
                }
            }
        }
        return Constant(.float64, shape: [data.shape[0], outputs, taps], sums)
    }

    /// The convolution at every position, where that has no more elements than the weights.
    private func borderedConvolution(
        _ data: Constant, _ weight: Constant, bias: Constant, groups: Int, isUniform: Bool
    ) throws -> Constant? {
        let rank = data.rank - 2
        guard let inputSizes = inputs[0].extents?.suffix(rank).map(\.fixed), !inputSizes.contains(nil),
            let outputSizes = outputs[0].extents?.suffix(rank).map(\.fixed), !outputSizes.contains(nil)
        else { return nil }
        let (sizes, positions) = (inputSizes.compactMap { $0 }, outputSizes.compactMap { $0 })
        let (outputs, depth, kernel) = (weight.shape[0], weight.shape[1], Array(weight.shape[2...]))
        let taps = kernel.reduce(1, *)
        let count = positions.reduce(data.shape[0] * outputs, *)
        guard count <= weight.count + data.count, isUniform || count * taps * depth <= Self.largestWork,
            data.shape[0] * weight.count <= Self.largestWork, count * taps <= Self.largestWork,
            let whole = isUniform ? data : data.expanded(to: Array(data.shape[..<2]) + sizes)
        else { return nil }
        let strides = try vertex.node.ints("strides", default: sizes.map { _ in 1 })
        let dilations = try vertex.node.ints("dilations", default: sizes.map { _ in 1 })
        var pads = try vertex.node.ints("pads", default: sizes.map { _ in 0 } + sizes.map { _ in 0 })
        let automatic = try vertex.node.string("auto_pad", default: "NOTSET")
        if automatic.hasPrefix("SAME") {
            for axis in 0..<rank {
                let span = (positions[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
                let total = max(0, span - sizes[axis])
                pads[axis] = automatic == "SAME_LOWER" ? (total + 1) / 2 : total / 2
            }
        }
        let sums = isUniform ? Self.tapSums(data, weight, groups: groups).elements : []
        let offsets = Array(Positions(kernel))
        let inner = sizes.reduce(1, *)
        var elements: [Double] = []
        elements.reserveCapacity(count)
        for sample in 0..<data.shape[0] {
            for output in 0..<outputs {
                let first = sample * data.shape[1] + output / (outputs / groups) * depth
                for position in Positions(positions) {
                    var total = bias.elements[bias.count == 1 ? 0 : output]
                    for (tap, offset) in offsets.enumerated() {
                        var index = 0
                        var isInside = true
                        for axis in 0..<rank where isInside {
                            let place =
                                position[axis] * strides[axis] + offset[axis] * dilations[axis] - pads[axis]
                            isInside = place >= 0 && place < sizes[axis]
                            index = index * sizes[axis] + place
                        }
                        guard isInside else { continue }
                        if isUniform {
                            total += sums[(sample * outputs + output) * taps + tap]
                        } else {
                            for channel in 0..<depth {
                                total +=
                                    whole.elements[(first + channel) * inner + index]
                                    * weight.elements[(output * depth + channel) * taps + tap]
                            }
                        }
                    }
                    elements.append(total)
                }
            }
        }
        return Constant(self.outputs[0].elementType, shape: [data.shape[0], outputs] + positions, elements)
    }
}

/// Convolutions that read a partial value: the weights of constant channels go.
///
/// What a constant range other than zero adds to the output goes into the bias, where it adds the same everywhere:
/// with padding it does not, so such a range is written out instead.
extension Rewriter {
    /// Convolution: input channels of a plain one, whole groups of a grouped one.
    fileprivate mutating func rewriteConvolution(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard partial.axis == 1, let data = operands[0], let output = vertex.outputs.first ?? nil,
            operands.count >= 2,
            let weight = operands[1], weight.form.isTensor, isOriginalConstant(weight.value),
            let weights = try originals.tensor(weight.value)
        else { return false }
        let groups = try vertex.node.int("group", default: 1)
        guard groups >= 1, partial.length % groups == 0, weights.shape[0] % groups == 0 else { return false }
        let depth = partial.length / groups
        let isExact = try evaluation(vertex, operands).hasNoPadding
        let bias = operands.count > 2 ? operands[2] : nil
        let hasConstantBias = try bias.map { try constantVector($0) != nil } ?? true
        let (kept, tensor) = try writingOut(partial, value: data.value) { range, constant in
            let isAligned = groups == 1 || range.lowerBound % depth == 0 && range.upperBound % depth == 0
            let isPerChannel = constant.count == constant.shape[1]
            return !isAligned || !(constant.isZero || isExact && isPerChannel && hasConstantBias)
        }
        let added = try response(weights, to: kept, groups: groups)
        let live = kept.liveRanges
        if groups == 1 {
            guard let slice = try sliced(weight.value, live, axis: 1) else { return false }
            emit(vertex, inputs: [tensor, slice, try self.bias(bias, adding: added, like: data)])
            return true
        }
        return try emitGroups(
            vertex, output: output, data: data, kept: kept, tensor: tensor, added: added, groups: groups,
            outputsPerGroup: weights.shape[0] / groups)
    }

    /// The groups of a grouped convolution that are live, and the constants that the others give.
    private mutating func emitGroups(
        _ vertex: Vertex, output: Int, data: Operand, kept: Partial, tensor: String, added: [Double],
        groups: Int,
        outputsPerGroup: Int
    ) throws -> Bool {
        let depth = kept.length / groups
        func outputs(_ range: Range<Int>) -> Range<Int> {
            range.lowerBound / depth * outputsPerGroup..<range.upperBound / depth * outputsPerGroup
        }
        guard let weight = vertex.inputs[1] else { return false }
        let bias = vertex.inputs.count > 2 ? vertex.inputs[2] : nil
        let ranges = kept.liveRanges.map(outputs)
        guard let slice = try sliced(weight, ranges, axis: 0) else { return false }
        var inputs: [String?] = [tensor, slice]
        var biases = [Double](repeating: 0, count: outputsPerGroup * groups)
        if let bias {
            guard let name = try sliced(bias, ranges, axis: 0), let vector = try originals.constant(bias)
            else {
                return false
            }
            inputs.append(name)
            biases = vector.elements
        }
        let attribute = AttributeProto(name: "group", int: kept.liveLength / depth)
        guard kept.liveLength < kept.length else {
            emit(vertex, inputs: inputs)
            return true
        }
        let name = names("\(graph.values[output].name)/kept")
        emit(copyOf: vertex, inputs: inputs, outputs: [name], attributes: [attribute])
        let rank = extents(of: output)?.count ?? 4
        var segments: [Partial.Segment] = []
        for (range, segment) in kept.placed {
            let range = outputs(range)
            guard !segment.isLive else {
                segments.append(.init(length: range.count, constant: nil))
                continue
            }
            let shape = [1, range.count] + [Int](repeating: 1, count: rank - 2)
            let constant = Constant(data.elementType, shape: shape, range.map { biases[$0] + added[$0] })
            segments.append(
                .init(
                    length: range.count,
                    constant: constant.isZero ? Constant(data.elementType, rank: rank) : constant))
        }
        let result = Partial(axis: 1, segments: segments, packing: .packed(name))
        forms[output] = .partial(result.repacked(name, axis: 1) { $0 })
        return true
    }

    /// Transposed convolution without groups: input channels that are zero go.
    fileprivate mutating func rewriteTransposedConvolution(
        _ vertex: Vertex, _ operands: [Operand?], _ partial: Partial
    ) throws -> Bool {
        guard partial.axis == 1, try vertex.node.int("group", default: 1) == 1, let data = operands[0],
            operands.count >= 2, let weight = operands[1], weight.form.isTensor,
            isOriginalConstant(weight.value)
        else { return false }
        let (kept, tensor) = try writingOut(partial, value: data.value) { !$1.isZero }
        guard let slice = try sliced(weight.value, kept.liveRanges, axis: 0) else { return false }
        let rest = try operands.dropFirst(2).map { try $0.map { try explicit($0) } }
        emit(vertex, inputs: [tensor, slice] + rest)
        return true
    }

    /// What the constant channels add to each output channel of a convolution that sees them at every kernel position.
    private func response(_ weights: TensorData, to partial: Partial, groups: Int) throws -> [Double] {
        var added = [Double](repeating: 0, count: weights.shape[0])
        let values = values(of: partial, axis: 1)
        guard values.contains(where: { $0 != 0 }) else { return added }
        let elements = try weights.doubles
        let depth = weights.shape[1]
        let taps = weights.shape[2...].reduce(1, *)
        for output in added.indices {
            let first = output / (added.count / groups) * depth
            for channel in 0..<depth where values[first + channel] != 0 {
                let start = (output * depth + channel) * taps
                added[output] += values[first + channel] * elements[start..<start + taps].reduce(0, +)
            }
        }
        return added
    }
}
