internal import Glibc
internal import ONNX

extension Evaluation {
    /// Normalisations of a constant input. Means over repeated elements are those over the elements themselves.
    func normalisation() throws -> Constant? {
        guard let data = try constant(0), data.rank > 0 else { return nil }
        switch vertex.operation {
        case "BatchNormalization":
            guard try vertex.node.int("training_mode", default: 0) == 0, data.rank >= 2 else { return nil }
            let epsilon = try Double(vertex.node.float("epsilon", default: 1e-5))
            guard let scale = try channels(1, data.rank), let bias = try channels(2, data.rank),
                let mean = try channels(3, data.rank), let variance = try channels(4, data.rank)
            else { return nil }
            return combine([data, scale, bias, mean, variance]) {
                ($0[0] - $0[3]) / ($0[4] + epsilon).squareRoot() * $0[1] + $0[2]
            }
        case "InstanceNormalization":
            guard data.rank >= 3, let scale = try channels(1, data.rank),
                let bias = try channels(2, data.rank)
            else { return nil }
            return try standardised(data, over: Array(2..<data.rank), scale: scale, bias: bias)
        case "LayerNormalization":
            var axis = try vertex.node.int("axis", default: -1)
            if axis < 0 { axis += data.rank }
            guard let scale = try constant(1) else { return nil }
            let bias = try constant(2)
            if isPresent(2), bias == nil { return nil }
            return try standardised(data, over: Array(axis..<data.rank), scale: scale, bias: bias)
        default: return try softmax(data)
        }
    }

    /// A vector over the channels, as a constant that broadcasts along axis 1.
    private func channels(_ slot: Int, _ rank: Int) throws -> Constant? {
        guard let vector = try constant(slot), vector.rank == 1 else { return nil }
        return vector.reshaped([1, vector.count] + [Int](repeating: 1, count: rank - 2))
    }

    private func standardised(
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

    private func softmax(_ data: Constant) throws -> Constant? {
        guard let extents = inputs[0].extents else { return nil }
        var axis = try vertex.node.int("axis", default: vertex.version < 13 ? 1 : -1)
        if axis < 0 { axis += data.rank }
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
        let isLogarithm = vertex.operation == "LogSoftmax"
        return combine([data, largest, total]) {
            isLogarithm ? $0[0] - $0[1] - log($0[2]) : exp($0[0] - $0[1]) / $0[2]
        }
    }

    /// Pooling and resizing of a value that is the same all over its spatial axes, or over all of an axis.
    func pooling() throws -> Constant? {
        guard let data = try constant(0), data.rank >= 3 else { return nil }
        let spatial = Array(2..<data.rank)
        switch vertex.operation {
        case "GlobalAveragePool": return data.folded(over: spatial, 0, +) { $0 / Double($1) }
        case "GlobalMaxPool":
            return data.folded(over: spatial, -.infinity, { max($0, $1) }) { total, _ in total }
        default: break
        }
        guard spatial.allSatisfy({ data.shape[$0] == 1 }) else { return nil }
        switch vertex.operation {
        case "MaxPool": return data
        case "AveragePool":
            let countsPadding = try vertex.node.int("count_include_pad", default: 0) != 0
            return try data.isZero || !countsPadding || hasNoPadding ? data : nil
        default:
            let extrapolates =
                try vertex.node.string("coordinate_transformation_mode", default: "") == "tf_crop_and_resize"
            guard let before = inputs[0].extents, let after = outputs[0].extents, before.count == after.count
            else {
                return nil
            }
            let isSpatial = data.shape.indices.allSatisfy { data.shape[$0] == 1 || before[$0] == after[$0] }
            return isSpatial && !extrapolates ? data : nil
        }
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

    /// Reductions; repeated elements count as often as they stand.
    func reduction() throws -> Constant? {
        guard let data = try constant(0), let extents = inputs[0].extents else { return nil }
        if try vertex.node.int("noop_with_empty_axes", default: 0) != 0 { return nil }
        guard let axes = try axes(slot: 1, rank: data.rank, default: Array(0..<data.rank)) else { return nil }
        let chosen = axes.isEmpty ? Array(0..<data.rank) : axes
        var times: Double? = 1
        for axis in chosen {
            times = times.flatMap { times in
                extents[axis].fixed.map { times * Double($0) / Double(data.shape[axis]) }
            }
        }
        let result: Constant?
        switch vertex.operation {
        case "ReduceMean": result = data.folded(over: chosen, 0, +) { $0 / Double($1) }
        case "ReduceMax":
            result = data.folded(over: chosen, -.infinity, { max($0, $1) }) { total, _ in total }
        case "ReduceMin": result = data.folded(over: chosen, .infinity, { min($0, $1) }) { total, _ in total }
        case "ReduceSum": result = sum(data, chosen, times) { $0 }
        case "ReduceL1": result = sum(data, chosen, times) { abs($0) }
        case "ReduceL2": result = sum(data, chosen, times, { $0 * $0 })?.mapped { $0.squareRoot() }
        case "ReduceSumSquare": result = sum(data, chosen, times) { $0 * $0 }
        case "ReduceLogSum": result = sum(data, chosen, times, { $0 })?.mapped { log($0) }
        default: result = nil
        }
        guard let result, try vertex.node.int("keepdims", default: 1) == 0 else { return result }
        return result.reshaped(result.shape.indices.filter { !chosen.contains($0) }.map { result.shape[$0] })
    }

    private func sum(
        _ data: Constant, _ axes: [Int], _ times: Double?, _ element: (Double) -> Double
    ) -> Constant? {
        guard let times = times ?? (data.isZero ? 1 : nil) else { return nil }
        return data.mapped(element).folded(over: axes, 0, +) { total, _ in total * times }
    }
}

extension Constant {
    /// A function of every element.
    func mapped(_ function: (Double) -> Double) -> Constant {
        Constant(elementType, shape: shape, elements.map(function))
    }

    /// The elements along `axes` gathered into one, kept as axes of size 1; `finish` gets the result and how many.
    func folded(
        over axes: [Int], _ initial: Double, _ step: (Double, Double) -> Double,
        _ finish: (Double, Int) -> Double
    ) -> Constant {
        var sizes = shape
        for axis in axes { sizes[axis] = 1 }
        var strides = [Int](repeating: 0, count: rank)
        var stride = 1
        for axis in sizes.indices.reversed() where sizes[axis] > 1 {
            strides[axis] = stride
            stride *= sizes[axis]
        }
        let number = sizes.reduce(1, *)
        var totals = [Double](repeating: initial, count: number)
        for (position, element) in zip(Positions(shape), elements) {
            let index = zip(position, strides).reduce(0) { $0 + $1.0 * $1.1 }
            totals[index] = step(totals[index], element)
        }
        return Constant(elementType, shape: sizes, totals.map { finish($0, count / number) })
    }
}
