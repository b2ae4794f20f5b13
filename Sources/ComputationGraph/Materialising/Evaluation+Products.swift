internal import ONNX

extension Evaluation {
    /// Matrix products; a zero factor decides the result whatever the other one is.
    func product() throws -> Constant? {
        switch vertex.operation {
        case "Einsum":
            let isDecided =
                inputs.indices.contains(where: isZero) && !inputs.indices.contains(where: mayBeInfinite)
            return isDecided ? zero : nil
        case "MatMul":
            if hasZeroFactor { return zero }
            guard let left = try constant(0), let right = try constant(1), let extents = inputs[0].extents,
                left.rank > 0, right.rank > 0
            else { return nil }
            return matrixProduct(left, right, inner: extents[left.rank - 1].fixed)
        default: return try gemm()
        }
    }

    private func gemm() throws -> Constant? {
        let alpha = try Double(vertex.node.float("alpha", default: 1))
        let beta = try Double(vertex.node.float("beta", default: 1))
        var product = zero
        if !hasZeroFactor {
            guard var left = try constant(0), var right = try constant(1), var extents = inputs[0].extents
            else {
                return nil
            }
            if try vertex.node.int("transA", default: 0) != 0 {
                left = left.transposed([1, 0])
                extents.swapAt(0, 1)
            }
            if try vertex.node.int("transB", default: 0) != 0 { right = right.transposed([1, 0]) }
            guard let result = matrixProduct(left, right, inner: extents[1].fixed) else { return nil }
            product = result
        }
        guard isPresent(2), beta != 0 else { return product.mapped { $0 * alpha } }
        guard let addend = try constant(2) else { return nil }
        return combine([product, addend]) { alpha * $0[0] + beta * $0[1] }
    }

    /// `left` times `right`, summed over an axis of `inner` elements (`nil` if that is not fixed).
    private func matrixProduct(_ left: Constant, _ right: Constant, inner: Int?) -> Constant? {
        let isVector = (left.rank == 1, right.rank == 1)
        var left = isVector.0 ? left.reshaped([1, left.count]) : left
        var right = isVector.1 ? right.reshaped([right.count, 1]) : right
        let rank = max(left.rank, right.rank)
        (left, right) = (left.withRank(rank), right.withRank(rank))
        let common = max(left.shape[rank - 1], right.shape[rank - 2])
        let times: Double
        if common == 1 {
            guard let inner else { return nil }
            times = Double(inner)
        } else {
            times = 1
        }
        let outer = zip(left.shape, right.shape).prefix(rank - 2).map { max($0, $1) }
        let (rows, columns) = (left.shape[rank - 2], right.shape[rank - 1])
        guard outer.reduce(rows * columns * common, *) <= Self.largestWork,
            let first = left.expanded(to: outer + [rows, common]),
            let second = right.expanded(to: outer + [common, columns])
        else { return nil }
        let isFinite = right.elements.allSatisfy(\.isFinite)
        var elements: [Double] = []
        for block in 0..<outer.reduce(1, *) {
            for row in 0..<rows {
                var sums = [Double](repeating: 0, count: columns)
                for index in 0..<common {
                    let factor = first.elements[(block * rows + row) * common + index] * times
                    if factor == 0, isFinite { continue }
                    let start = (block * common + index) * columns
                    for column in 0..<columns { sums[column] += factor * second.elements[start + column] }
                }
                elements += sums
            }
        }
        let shape = outer + (isVector.0 ? [] : [rows]) + (isVector.1 ? [] : [columns])
        return Constant(outputs[0].elementType, shape: shape, elements)
    }

    /// Convolution of zeros, of a value that is the same at every position, or of a small fixed one.
    func convolution() throws -> Constant? {
        guard outputRank >= 3 else { return nil }
        let bias: Constant
        if isPresent(2) {
            guard let vector = try constant(2) else { return nil }
            bias = vector.reshaped([1, vector.count] + [Int](repeating: 1, count: outputRank - 2))
        } else {
            bias = zero
        }
        if hasZeroFactor { return bias }
        guard vertex.operation == "Conv", let data = try constant(0), let weight = try constant(1),
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
