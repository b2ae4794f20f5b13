internal import ONNX

/// Operators that take elements from places that other inputs name, or put them there.
extension OperatorFacts {
    static let gathering: [String: OperatorFacts] = [
        "Compress": OperatorFacts(shape: .data, operations: free),
        "Gather": OperatorFacts(
            sizes: gatheredSizes, sizeElements: gatheredElements, axes: gatheredAxes, list: gatheredList,
            preservesZeros: inFirst, zeroOutput: .first,
            sign: signOfFirst, operations: free, role: .lookUp, hasWeights: true,
            evaluation: .first { try $0.gathered() },
            simplifications: [
                .carrying { input in
                    let gathered = input.resolved(try input.vertex.node.int("axis", default: 0))
                    guard gathered != input.axis else { return nil }
                    return input.first(
                        input.axis < gathered ? input.axis : input.axis + input.target.count - input.rank)
                }
            ]),
        "GatherElements": OperatorFacts(
            axes: gatheredElementAxes, preservesZeros: inFirst, operations: free, evaluation: sameNumber),
        "GatherND": OperatorFacts(
            axes: gatheredTupleAxes, preservesZeros: inFirst, operations: free, evaluation: sameNumber),
        "NonMaxSuppression": OperatorFacts(outputType: always(.int64), shape: .data),
        "NonZero": OperatorFacts(outputType: always(.int64), shape: .data, operations: free),
        "OneHot": OperatorFacts(outputType: typeOf(2), shape: .elements([1]), operations: free),
        "Scatter": OperatorFacts(operations: free),
        "ScatterElements": OperatorFacts(operations: free),
        "ScatterND": OperatorFacts(sizes: likeFirst, operations: free),
        "TensorScatter": OperatorFacts(operations: free),
        "Unique": OperatorFacts(outputType: firstAnd(.int64), shape: .data, operations: free),
    ]

    /// Which positions are gathered is not said: along that axis, every one may be.
    private static let gatheredAxes: AxisRule = { query in
        guard let shape = query.input(0), let indices = query.input(1),
            let axis = try query.axis(default: 0, rank: shape.count)
        else { return nil }
        var builder = AxisMapBuilder()
        let outer = builder.axes(shape[..<axis])
        let gathered = builder.axis(shape[axis], .mixed)
        let inner = builder.axes(shape[(axis + 1)...])
        let places = builder.axes(indices)
        return builder.map(inputs: [outer + [gathered] + inner, places], outputs: [outer + places + inner])
    }

    /// Every place along an axis other than the gathered one is of data, indices and output alike, where they are of one length.
    private static let gatheredElementAxes: AxisRule = { query in
        guard let shape = query.input(0), let indices = query.input(1), indices.count == shape.count,
            let axis = try query.axis(default: 0, rank: shape.count)
        else { return nil }
        var builder = AxisMapBuilder()
        var (data, places): ([AxisMap.Axis], [AxisMap.Axis]) = ([], [])
        for (place, (size, count)) in zip(shape, indices).enumerated() {
            let own = builder.axis(count)
            places.append(own)
            data.append(place != axis && size == count ? own : builder.axis(size, .mixed))
        }
        return builder.map(inputs: [data, places], outputs: [places])
    }

    /// The axes that tuples of indices name mix; those behind them come through.
    private static let gatheredTupleAxes: AxisRule = { query in
        guard let shape = query.input(0), let indices = query.input(1), let depth = indices.last,
            case let batch = try query.vertex.node.int("batch_dims", default: 0), batch >= 0,
            batch < indices.count, batch + depth <= shape.count
        else { return nil }
        var builder = AxisMapBuilder()
        let shared = builder.axes(shape[..<batch])
        let named = builder.axes(shape[batch..<batch + depth], .mixed)
        let rest = builder.axes(shape[(batch + depth)...])
        let places = builder.axes(indices[batch..<indices.count - 1])
        let tuple = builder.axis(depth, .mixed)
        return builder.map(
            inputs: [shared + named + rest, shared + places + [tuple]], outputs: [shared + places + rest])
    }

    private static let gatheredSizes: SizeRule = { tracing, output in
        guard let first = tracing.input(output.vertex, 0), let indices = tracing.input(output.vertex, 1),
            !first.isEmpty
        else { return nil }
        let axis = tracing.int(output.vertex, "axis", 0)
        let own = axis < 0 ? axis + first.count : axis
        guard first.indices.contains(own) else { return nil }
        return first[..<own] + indices + first[(own + 1)...]
    }

    private static let gatheredElements: SizeElementRule = { tracing, vertex in
        guard let data = tracing.given(vertex, 0), tracing.rank(of: tracing.value(vertex, 0)) == 1,
            let indices = tracing.numbers(vertex, 1)
        else { return nil }
        let places = indices.map { $0 < 0 ? $0 + data.count : $0 }
        return places.allSatisfy(data.indices.contains) ? places.map { data[$0] } : nil
    }
}

extension Evaluation {
    fileprivate func gathered() throws -> Constant? {
        guard let data = try constant(0) else { return nil }
        guard let axis = try vertex.axis(default: 0, rank: data.rank) else { return nil }
        let indexRank = outputRank - data.rank + 1
        guard indexRank >= 0 else { return nil }
        let around = (data.shape[..<axis], data.shape[(axis + 1)...])
        if data.shape[axis] == 1 {
            return data.reshaped(around.0 + [Int](repeating: 1, count: indexRank) + around.1)
        }
        guard isPresent(1), let indices = try integers(1), let shape = inputs[1].extents?.map(\.fixed) else {
            return nil
        }
        let positions = indices.map { $0 < 0 ? $0 + data.shape[axis] : $0 }
        guard positions.allSatisfy(data.shape[axis].indices.contains) else { return nil }
        return data.selecting(positions, axis: axis).reshaped(around.0 + shape.compactMap { $0 } + around.1)
    }
}

extension Int {
    /// The positions along an axis of this size.
    fileprivate var indices: Range<Int> { 0..<self }
}
