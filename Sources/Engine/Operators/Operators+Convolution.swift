internal import ONNX
internal import Torch

private let convolution = Operation("aten::convolution")
private let add = Operation("aten::add.Tensor")

extension Operators {
    /// Convolutions and their transposes.
    nonisolated(unsafe) static let convolutions = OperatorFamily(
        [
            "Conv": conv,
            "ConvTranspose": convTranspose,
            "DeformConv": deformConv,
            "Col2Im": col2Im,
        ],
        traits: [
            "Conv": .init(since: 1, channelsLastSlot: 1),
            "ConvTranspose": .init(since: 1),
        ])

    /// Conv: X (N, C, D1…), W (M, C/group, k1…), optional B (M).
    private static func conv(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let groups = try window.groups()
        // The network lays weights out with the channels innermost. Outputs then are too, so only the first
        // convolution has to rearrange its input.
        let channelsLast = context.constant(1)?.isChannelsLast ?? false
        return { inputs in
            var x = try context.required(inputs, 0)
            let weight = try context.required(inputs, 1)
            let bias = context.optional(inputs, 2)
            try requireRanks(x, weight, context)
            if channelsLast, x.rank == 4 { x = try x.channelsLast() }
            let placement = try window.placed(
                over: Array(x.shape.dropFirst(2)), kernel: window.kernel(ofWeight: weight.shape))
            // libtorch pads alike on both sides; what is left over on one side is added before.
            let common = zip(placement.begin, placement.end).map { min($0, $1) }
            var padded = try x.padded(
                begin: zip(placement.begin, common).map { $0 - $1 },
                end: zip(placement.end, common).map { $0 - $1 })
            var strides = placement.strides
            if weight.hasGradient, weight.shape.dropFirst(2).allSatisfy({ $0 == 1 }),
                common.allSatisfy({ $0 == 0 })
            {
                padded = try padded.everyStep(of: strides)
                strides = strides.map { _ in 1 }
            }
            return [
                try convolution(
                    .tensor(padded), .tensor(weight), .optional(bias), .ints(strides), .ints(common),
                    .ints(placement.dilations), false, .ints(common.map { _ in 0 }), .int(groups))
            ]
        }
    }

    /// ConvTranspose: X (N, C, D1…), W (C, M/group, k1…), optional B (M).
    private static func convTranspose(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let groups = try window.groups()
        let outputPadding = try context.node.ints("output_padding", default: nil)
        let outputShape = try context.node.ints("output_shape", default: nil)
        return { inputs in
            let x = try context.required(inputs, 0)
            let weight = try context.required(inputs, 1)
            let bias = context.optional(inputs, 2)
            try requireRanks(x, weight, context)
            let place = try TransposedPlacement(
                window, input: Array(x.shape.dropFirst(2)), kernel: window.kernel(ofWeight: weight.shape),
                outputPadding: outputPadding, outputShape: outputShape, context)
            if let padding = place.symmetricPadding {
                return [
                    try convolution(
                        .tensor(x), .tensor(weight), .optional(bias), .ints(place.strides), .ints(padding),
                        .ints(place.dilations), true, .ints(place.extra), .int(groups))
                ]
            }
            let zeros = place.strides.map { _ in 0 }
            let whole = try convolution(
                .tensor(x), .tensor(weight), .none, .ints(place.strides), .ints(zeros),
                .ints(place.dilations), true,
                .ints(zeros), .int(groups))
            let cut = try whole.padded(
                begin: place.begin.map { -$0 },
                end: zip(place.output, zip(place.whole, place.begin)).map { $0 - ($1.0 - $1.1) })
            guard let bias else { return [cut] }
            return [try add(.tensor(cut), .tensor(bias.alongDimension(1, rank: x.rank)))]
        }
    }

    /// Checks that input and weight have 1 to 3 spatial dimensions, the same number.
    private static func requireRanks(_ x: Tensor, _ weight: Tensor, _ context: OperatorContext) throws {
        guard x.rank >= 3, weight.rank == x.rank else {
            throw context.error("an input of shape \(x.shape) with a weight of shape \(weight.shape)")
        }
        guard x.rank <= 5 else { throw context.unsupported("over \(x.rank - 2) spatial dimensions") }
    }
}

/// Where the output of a transposed convolution lies in the whole of what its kernels reach.
struct TransposedPlacement {
    let strides: [Int]
    let dilations: [Int]
    /// The sizes of the whole, without any padding.
    let whole: [Int]
    /// How much of the whole is cut off before the output starts.
    var begin: [Int] = []
    /// The output's sizes.
    var output: [Int] = []

    init(
        _ window: SpatialWindow, input: [Int], kernel: [Int], outputPadding: [Int]?, outputShape: [Int]?,
        _ context: OperatorContext
    ) throws {
        let (strides, dilations, explicitBegin, explicitEnd) = try window.steps(input.count)
        self.strides = strides
        self.dilations = dilations
        whole = input.indices.map { (input[$0] - 1) * strides[$0] + dilations[$0] * (kernel[$0] - 1) + 1 }
        let extra = outputPadding ?? input.map { _ in 0 }
        guard extra.count == input.count else {
            throw context.error(
                "attribute output_padding has \(extra.count) numbers where \(input.count) are needed")
        }
        for list in [extra, outputShape ?? []]
        where !list.allSatisfy({ (0...SpatialWindow.largest).contains($0) }) {
            throw context.error("attribute output_padding or output_shape is out of range: \(list)")
        }
        // Some models give the batch and channel sizes as well.
        let wanted = outputShape.map { Array($0.suffix(input.count)) }
        if let outputShape, outputShape.count != input.count && outputShape.count != input.count + 2 {
            throw context.error(
                "attribute output_shape is \(outputShape) for \(input.count) spatial dimensions")
        }
        for index in input.indices {
            let size: Int
            if let wanted {
                size = wanted[index]
            } else {
                switch window.autoPad {
                case .sameUpper, .sameLower: size = input[index] * strides[index]
                case .valid: size = whole[index] + extra[index]
                case .notSet: size = whole[index] + extra[index] - explicitBegin[index] - explicitEnd[index]
                }
            }
            guard size > 0 else { throw context.error("the output would have the size \(size)") }
            output.append(size)
            if wanted != nil || window.autoPad == .sameUpper || window.autoPad == .sameLower {
                let total = max(0, whole[index] + extra[index] - size)
                begin.append(window.autoPad == .sameUpper ? total / 2 : total - total / 2)
            } else {
                begin.append(window.autoPad == .valid ? 0 : explicitBegin[index])
            }
        }
    }

    /// What the output has at its end beyond symmetric padding.
    var extra: [Int] { output.indices.map { output[$0] - (whole[$0] - 2 * begin[$0]) } }

    /// The padding for libtorch, where its symmetric padding and output padding can express this placement.
    var symmetricPadding: [Int]? {
        let fits = extra.indices.allSatisfy { extra[$0] >= 0 && extra[$0] < max(strides[$0], dilations[$0]) }
        return fits ? begin : nil
    }
}

extension Tensor {
    /// The pixels of a batch (N, C, D1…) that a kernel of one pixel reads: every so many of each spatial dimension.
    ///
    /// oneDNN 2.6, which libtorch 1.13 convolves with, would take them itself, but where it differentiates with respect to the
    /// weights of fewer than eight channels it writes past the memory that it copies them to (`jit_1x1:avx2`, channels
    /// innermost).
    fileprivate func everyStep(of strides: [Int]) throws(TorchError) -> Tensor {
        var kept = self
        for (axis, step) in strides.enumerated() where step > 1 {
            kept = try kept.sliced(axis + 2, 0..<shape[axis + 2], step: step)
        }
        return kept
    }
}
