internal import ComputationGraph
internal import ONNX
internal import Torch

/// A linear layer as a regression: how its input, output and weights become matrices, and back.
///
/// Features are [G, n, d]: G groups of channels, n rows, and d weights of an output channel with the bias last. Outputs are
/// [G, n, m].
struct LinearRows {
    let map: LinearMap
    let groups: Int
    /// The numbers of features of a group, the bias included, and of its output channels.
    let features: Int
    let outputs: Int
    private let vertex: Vertex
    /// The weight's shape.
    private let shape: [Int]
    private let window: SpatialWindow?

    /// - Parameter weight: the layer's present weight.
    /// - Throws: `EngineError` for attributes that make no sense.
    init(_ map: LinearMap, in graph: Graph, weight: Tensor) throws {
        self.map = map
        vertex = graph.vertices[map.vertex]
        shape = weight.shape
        let context = OperatorContext(vertex: vertex, constants: [])
        switch map.form {
        case .convolution(let groups):
            self.groups = groups
            (features, outputs) = (shape.dropFirst().reduce(1, *) + 1, shape[0] / groups)
            window = try SpatialWindow(context)
        case .transposedConvolution(let groups):
            self.groups = groups
            (features, outputs) = (shape[0] / groups * shape[2...].reduce(1, *) + 1, shape[1])
            window = try SpatialWindow(context)
        case .rightProduct:
            (groups, features, outputs, window) = (1, shape[0] + 1, shape[1], nil)
        case .leftProduct:
            (groups, features, outputs, window) = (1, shape[1] + 1, shape[0], nil)
        case .gemm(_, _, let isTransposed):
            groups = 1
            (features, outputs) = isTransposed ? (shape[1] + 1, shape[0]) : (shape[0] + 1, shape[1])
            window = nil
        }
    }

    /// The channels of the output.
    var channels: Int { groups * outputs }

    // MARK: Weights

    /// Weight and bias as one matrix, float64 [G, d, m].
    func matrix(_ weight: Tensor, bias: Tensor?) throws -> Tensor {
        let wide = try weight.converted(to: .float64)
        let inner: Tensor
        switch map.form {
        case .convolution: inner = try wide.reshaped([groups, outputs, features - 1]).transposed(1, 2)
        case .transposedConvolution:
            let split = try wide.reshaped([groups, shape[0] / groups, outputs, -1])
            inner = try split.permuted([0, 1, 3, 2]).reshaped([groups, features - 1, outputs])
        case .rightProduct: inner = try wide.unsqueezed(0)
        case .leftProduct: inner = try wide.transposed(0, 1).unsqueezed(0)
        case .gemm(let alpha, _, let isTransposed):
            inner = try ((isTransposed ? wide.transposed(0, 1) : wide) * Double(alpha)).unsqueezed(0)
        }
        let row: Tensor
        if let bias {
            var factor = 1.0
            if case .gemm(_, let beta, _) = map.form, map.bias != nil { factor = Double(beta) }
            row = try (bias.converted(to: .float64) * factor).reshaped([groups, 1, outputs])
        } else {
            row = try Tensor.filled(0, shape: [groups, 1, outputs], type: .float64)
        }
        return try Tensor.concatenated([inner, row], along: 1)
    }

    /// The weight in the shape that the layer has it, and the bias by channel, of a matrix [G, d, m].
    func parts(of matrix: Tensor) throws -> (weight: Tensor, bias: Tensor) {
        let inner = try matrix.narrowed(1, from: 0, length: features - 1)
        var bias = try matrix.narrowed(1, from: features - 1, length: 1).reshaped([channels])
        var weight: Tensor
        switch map.form {
        case .convolution: weight = try inner.transposed(1, 2).reshaped(shape)
        case .transposedConvolution:
            let kernel = shape[2...].reduce(1, *)
            let split = try inner.reshaped([groups, shape[0] / groups, kernel, outputs])
            weight = try split.permuted([0, 1, 3, 2]).reshaped(shape)
        case .rightProduct: weight = try inner.reshaped(shape)
        case .leftProduct: weight = try inner.reshaped([features - 1, outputs]).transposed(0, 1)
        case .gemm(let alpha, let beta, let isTransposed):
            let plain = try inner.reshaped([features - 1, outputs]) * (1 / Double(alpha))
            weight = isTransposed ? try plain.transposed(0, 1) : plain
            if map.bias != nil { bias = try bias * (1 / Double(beta)) }
        }
        weight = try weight.reshaped([weight.count]).reshaped(shape)
        return (weight, bias)
    }

    // MARK: Rows

    /// How many rows a tensor of the output's shape has.
    func rowCount(ofOutput shape: [Int]) -> Int { channels == 0 ? 0 : shape.reduce(1, *) / channels }

    /// Rows of a tensor of the output's shape, [n, M].
    func rows(of tensor: Tensor, _ selection: RowSelection) throws -> Tensor {
        let axis = tensor.rank - 1 - map.channelAxisFromEnd
        let order = (0..<tensor.rank).filter { $0 != axis } + [axis]
        return try tensor.permuted(order).reshaped([-1, tensor.shape[axis]]).gathering(0, selection.indices)
    }

    /// Rows [n, M] by group, [G, n, m].
    func grouped(_ rows: Tensor) throws -> Tensor {
        try rows.reshaped([rows.shape[0], groups, outputs]).transposed(0, 1)
    }

    /// What the layer reads for rows of its output, with the 1 for the bias: float64 [G, n, d].
    ///
    /// - Parameter output: the shape of the output.
    func features(_ input: Tensor, output: [Int], _ selection: RowSelection) throws -> Tensor {
        let rows: Tensor
        switch map.form {
        case .rightProduct, .gemm:
            rows = try input.reshaped([-1, features - 1]).gathering(0, selection.indices).unsqueezed(0)
        case .leftProduct:
            rows = try input.transposed(input.rank - 2, input.rank - 1).reshaped([-1, features - 1])
                .gathering(0, selection.indices).unsqueezed(0)
        case .convolution:
            let placed = try window?.placed(over: Array(input.shape[2...]), kernel: Array(shape[2...]))
            guard let placed else { return input }
            let padded = try input.padded(begin: placed.begin, end: placed.reach)
            rows = try windows(
                of: padded, placed.kernel, strides: placed.strides, dilations: placed.dilations,
                output: output, selection)
        case .transposedConvolution:
            rows = try transposedWindows(input, output: output, selection)
        }
        let ones = try Tensor.filled(1, shape: [groups, selection.count, 1], type: rows.scalarType)
        return try Tensor.concatenated([rows, ones], along: 2).converted(to: .float64)
    }

    /// The windows at some rows: [G, n, C/G · k].
    private func windows(
        of input: Tensor, _ kernel: [Int], strides: [Int], dilations: [Int], output: [Int],
        isFlipped: Bool = false, _ selection: RowSelection
    ) throws -> Tensor {
        var view = input
        for axis in kernel.indices {
            let extent = dilations[axis] * (kernel[axis] - 1) + 1
            view = try unfold(.tensor(view), .int(2 + axis), .int(extent), .int(strides[axis]))
        }
        let inner = 2 + kernel.count
        for axis in kernel.indices {
            view = try view.sliced(
                inner + axis, 0..<view.shape[inner + axis], step: dilations[axis])
        }
        // The places of a row: its sample, then along each spatial dimension.
        var rest = selection.indices
        var places: [Tensor] = []
        for size in output[2...].reversed() {
            places.insert(try remainder(.tensor(rest), .int(size)), at: 0)
            rest = try quotient(.tensor(rest), .int(size), .string("floor"))
        }
        let indices = [rest, nil] + places.map { Optional($0) }
        var rows = try index(.tensor(view), .optionalTensors(indices))
        if isFlipped { rows = try rows.flipped(Array(2..<rows.rank)) }
        return try rows.reshaped([selection.count, groups, features - 1]).transposed(0, 1)
    }

    /// A transposed convolution is a convolution with the kernel turned round, over an input with zeros between its elements.
    private func transposedWindows(_ input: Tensor, output: [Int], _ selection: RowSelection) throws
        -> Tensor
    {
        let context = OperatorContext(vertex: vertex, constants: [])
        let node = vertex.node
        let kernel = Array(shape[2...])
        let place = try TransposedPlacement(
            window ?? SpatialWindow(context), input: Array(input.shape[2...]), kernel: kernel,
            outputPadding: node.ints("output_padding", default: nil),
            outputShape: node.ints("output_shape", default: nil), context)
        var spread = input
        var (begin, end): ([Int], [Int]) = ([], [])
        for axis in kernel.indices {
            let (size, stride) = (input.shape[2 + axis], place.strides[axis])
            var shape = spread.shape
            // Every element, and `stride` − 1 zeros behind it; those behind the last one go.
            let column = try spread.unsqueezed(3 + axis)
            let zeros = [Int](repeating: 0, count: column.rank - (3 + axis))
            let padded = try column.padded(begin: zeros, end: [stride - 1] + zeros.dropFirst())
            shape[2 + axis] = size * stride
            spread = try padded.reshaped(shape).narrowed(2 + axis, from: 0, length: (size - 1) * stride + 1)
            let reach = place.dilations[axis] * (kernel[axis] - 1)
            begin.append(reach - place.begin[axis])
            end.append(place.output[axis] + place.begin[axis] - ((size - 1) * stride + 1))
        }
        return try windows(
            of: spread.padded(begin: begin, end: end), kernel, strides: kernel.map { _ in 1 },
            dilations: place.dilations, output: output, isFlipped: true, selection)
    }
}

private let unfold = Operation("aten::unfold")
private let index = Operation("aten::index.Tensor")
private let remainder = Operation("aten::remainder.Scalar")
private let quotient = Operation("aten::div.Scalar_mode")
