internal import ONNX

/// Operators that move elements within a tensor, cut some off or put others around.
extension OperatorFacts {
    static let rearranging: [String: OperatorFacts] = [
        "DepthToSpace": OperatorFacts(
            axes: spreadAxes, preservesZeros: inFirst, operations: free, evaluation: singleNumber,
            simplifications: [.onceForAllSamples]),
        "Pad": OperatorFacts(
            shape: .elements([1, 3]), axes: paddedAxes, slicing: paddingLess, operations: free,
            evaluation: .first { try $0.padded() },
            simplifications: [
                .carrying { input in
                    let pads =
                        input.vertex.version < 11
                        ? try input.vertex.node.ints("pads") : try input.evaluation.integers(1)
                    guard let pads, pads.count == 2 * input.rank, !input.evaluation.isPresent(3) else {
                        return nil
                    }
                    return input.same(pads[input.axis] == 0 && pads[input.axis + input.rank] == 0)
                }
            ]),
        "ReverseSequence": OperatorFacts(operations: free),
        "SpaceToDepth": OperatorFacts(
            axes: stackedAxes, preservesZeros: inFirst, operations: free, evaluation: singleNumber,
            simplifications: [.onceForAllSamples]),
        "Trilu": OperatorFacts(
            sizes: likeFirst, axes: alignedFirst, preservesZeros: inFirst, operations: free,
            evaluation: zeroOfZero),
    ]

    /// What is put before and behind each axis, where the file tells.
    private static func pads(of vertex: Vertex, rank: Int, _ integers: (Int) -> [Int]?) throws -> [Int]? {
        if vertex.version < 11 { return try vertex.node.ints("pads") }
        guard let given = integers(1) else { return nil }
        guard vertex.inputs.count > 3, vertex.inputs[3] != nil else {
            return given.count == 2 * rank ? given : nil
        }
        guard let axes = integers(3)?.map({ $0 < 0 ? $0 + rank : $0 }), given.count == 2 * axes.count else {
            return nil
        }
        var pads = [Int](repeating: 0, count: 2 * rank)
        for (place, axis) in axes.enumerated() where (0..<rank).contains(axis) {
            (pads[axis], pads[axis + rank]) = (given[place], given[place + axes.count])
        }
        return pads
    }

    /// Constants lie before and behind what is there; of other paddings nothing is said along their axes.
    private static let paddedAxes: AxisRule = { query in
        guard let shape = query.input(0), let target = query.output, shape.count == target.count,
            let pads = try pads(of: query.vertex, rank: shape.count, query.integers)
        else { return nil }
        let isConstant = try query.vertex.node.string("mode", default: "constant") == "constant"
        var builder = AxisMapBuilder()
        var (read, written): ([AxisMap.Axis], [AxisMap.Axis]) = ([], [])
        for (axis, size) in shape.enumerated() {
            let (before, after) = (pads[axis], pads[axis + shape.count])
            if before == 0, after == 0 {
                read.append(builder.axis(size))
                written.append(read[axis])
            } else if isConstant, before >= 0, after >= 0 {
                let own = builder.run(size)
                let others = (before > 0 ? builder.run(before) : nil, after > 0 ? builder.run(after) : nil)
                read.append(own)
                written.append(builder.sequence([others.0, own, others.1].compactMap { $0 }))
            } else {
                read.append(builder.axis(size, .mixed))
                written.append(builder.axis(target[axis], .mixed))
            }
        }
        return builder.map(
            inputs: [read] + query.inputs.dropFirst().map { _ in nil }, outputs: [written])
    }

    /// Where padding goes there is less of it.
    private static let paddingLess: SlicingRule = { node in
        guard let shape = node.shape(ofInput: 0), let target = node.shape(),
            let pads = try pads(of: node.vertex, rank: shape.count, node.numbers)
        else { return }
        var less = pads
        for axis in shape.indices {
            let lost = node.lost(axis: axis)
            less[axis] -= lost.count { $0 < pads[axis] }
            less[axis + shape.count] -= lost.count { $0 >= target[axis] - pads[axis + shape.count] }
        }
        guard less != pads else { return }
        if node.vertex.version < 11 {
            node.set("pads", less)
        } else {
            let axes = node.vertex.inputs.count > 3 ? node.numbers(3) : nil
            let places = (axes ?? Array(shape.indices)).map { $0 < 0 ? $0 + shape.count : $0 }
            // Those of other axes may follow from sizes.
            for (place, pad) in (places + places.map { $0 + shape.count }).enumerated()
            where less[pad] != pads[pad] {
                node.replace(1, at: place, by: less[pad])
            }
        }
    }

    /// DepthToSpace: the channels hold blocks of rows and columns, outside the channels that stay (DCR) or inside (CRD).
    private static let spreadAxes: AxisRule = { query in
        guard let shape = query.input(0), shape.count == 4 else { return nil }
        let size = try query.vertex.node.int("blocksize")
        guard size > 0, shape[1] % (size * size) == 0 else { return nil }
        var builder = AxisMapBuilder()
        let (rows, columns) = (builder.axis(size), builder.axis(size))
        let sample = builder.axis(shape[0])
        let channels = builder.axis(shape[1] / (size * size))
        let (height, width) = (builder.axis(shape[2]), builder.axis(shape[3]))
        let isOutside = try query.vertex.node.string("mode", default: "DCR") == "DCR"
        let depth =
            isOutside
            ? builder.product(rows, columns, channels) : builder.product(channels, rows, columns)
        return builder.map(
            inputs: [[sample, depth, height, width]],
            outputs: [[sample, channels, builder.product(height, rows), builder.product(width, columns)]])
    }

    /// SpaceToDepth: blocks of rows and columns become channels, outside those that were there.
    private static let stackedAxes: AxisRule = { query in
        guard let shape = query.input(0), shape.count == 4 else { return nil }
        let size = try query.vertex.node.int("blocksize")
        guard size > 0, shape[2] % size == 0, shape[3] % size == 0 else { return nil }
        var builder = AxisMapBuilder()
        let (rows, columns) = (builder.axis(size), builder.axis(size))
        let (sample, channels) = (builder.axis(shape[0]), builder.axis(shape[1]))
        let (height, width) = (builder.axis(shape[2] / size), builder.axis(shape[3] / size))
        return builder.map(
            inputs: [[sample, channels, builder.product(height, rows), builder.product(width, columns)]],
            outputs: [[sample, builder.product(rows, columns, channels), height, width]])
    }

    private static let singleNumber = ConstantRule.first { evaluation in
        guard let data = try evaluation.constant(0) else { return nil }
        return data.single == nil ? nil : data
    }
}

extension Evaluation {
    /// Padding with the number that all elements are, or with nothing.
    fileprivate func padded() throws -> Constant? {
        guard let data = try constant(0) else { return nil }
        let pads = vertex.version < 11 ? try vertex.node.ints("pads") : try integers(1)
        if let pads, pads.allSatisfy({ $0 == 0 }) { return data }
        guard let number = data.single else { return nil }
        guard try vertex.node.string("mode", default: "constant") == "constant" else { return data }
        let filling: Double? =
            vertex.version < 11
            ? try Double(vertex.node.float("value", default: 0)) : isPresent(2) ? try constant(2)?.single : 0
        return filling == number ? data : nil
    }
}

extension NodeProto {
    /// Zeros put around a tensor; `pads` names the numbers of them before each axis, then behind each.
    static func padding(_ input: String, by pads: String, output: String, name: String) -> NodeProto {
        NodeProto("Pad", inputs: [input, pads], outputs: [output], name: name)
    }

    /// The part of a tensor between bounds along some axes, which tensors list.
    static func part(
        of input: String, from starts: String, to ends: String, axes: String, output: String, name: String
    ) -> NodeProto {
        NodeProto("Slice", inputs: [input, starts, ends, axes], outputs: [output], name: name)
    }
}
