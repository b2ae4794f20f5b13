internal import ComputationGraph
internal import Foundation
internal import ONNX
internal import Torch

private let unfold = Operation("aten::unfold")

extension Operators {
    /// Spectra and what belongs to them.
    nonisolated(unsafe) static let signal: OperatorFamily = [
        "DFT": fourierTransform,
        "STFT": shortTimeFourierTransform,
        "HannWindow": { context in
            try window(context) { 0.5 - 0.5 * cos(2 * .pi * $0) }
        },
        "HammingWindow": { context in
            try window(context) { 25.0 / 46 - 21.0 / 46 * cos(2 * .pi * $0) }
        },
        "BlackmanWindow": { context in
            try window(context) { 0.42 - 0.5 * cos(2 * .pi * $0) + 0.08 * cos(4 * .pi * $0) }
        },
        "MelWeightMatrix": melWeightMatrix,
    ]

    /// DFT of a signal (batch, …, 1 or 2) along one dimension; the axis is an attribute in opset 17, an input since.
    private static func fourierTransform(_ context: OperatorContext) throws -> Kernel {
        let isInverse = try context.flag("inverse")
        let isOneSided = try context.flag("onesided")
        let length = try context.integers(in: 1)
        let attribute = try context.node.int("axis", default: 1)
        let axisInput: IntegerReader =
            try context.version >= 20 ? context.integers(in: 2) : { _ in [attribute] }
        return { inputs in
            let signal = try context.required(inputs, 0)
            try requirePairs(signal, context)
            let axis = try context.axis(axisInput(inputs)?.first ?? -2, rank: signal.rank)
            guard axis < signal.rank - 1 else {
                throw context.error("axis \(axis) is that of the complex pairs")
            }
            if isInverse && isOneSided {
                return [
                    try realSignal(
                        of: signal, length: length(inputs)?.first ?? 2 * (signal.shape[axis] - 1), axis: axis,
                        context)
                ]
            }
            let count = try length(inputs)?.first ?? signal.shape[axis]
            let samples = min(count, signal.shape[axis])
            try requireLength(count, context)
            let transform = try FourierTransform(
                length: count, samples: samples, isOneSided: isOneSided, isInverse: isInverse)
            return [try transform(signal.narrowed(axis, from: 0, length: samples), along: axis)]
        }
    }

    /// The real signal whose spectrum begins with these bins: the others are their conjugates.
    private static func realSignal(
        of spectrum: Tensor, length: Int, axis: Int, _ context: OperatorContext
    ) throws -> Tensor {
        try requireLength(length, context)
        let bins = length / 2 + 1
        guard spectrum.shape[spectrum.rank - 1] == 2, spectrum.shape[axis] >= bins else {
            throw context.error("a spectrum of shape \(spectrum.shape) for \(length) real samples")
        }
        let known = try spectrum.narrowed(axis, from: 0, length: bins)
        let mirrored = try known.narrowed(axis, from: 1, length: length - bins).flipped([axis])
        let whole = try Tensor.concatenated(
            [known, mirrored * Tensor([1, -1] as [Float])], along: axis)
        let transform = try FourierTransform(
            length: length, samples: length, isOneSided: false, isInverse: true)
        return try transform(whole, along: axis).narrowed(spectrum.rank - 1, from: 0, length: 1)
    }

    /// STFT of a signal (batch, length, 1 or 2): step, window and frame length as inputs; (batch, frames, bins, 2).
    private static func shortTimeFourierTransform(_ context: OperatorContext) throws -> Kernel {
        let isOneSided = try context.flag("onesided", default: true)
        let frameStep = try context.integers(in: 1)
        let frameLength = try context.integers(in: 3)
        return { inputs in
            let signal = try context.required(inputs, 0)
            try requirePairs(signal, context)
            let window = context.optional(inputs, 2)
            guard signal.rank == 3, let step = try frameStep(inputs)?.first, step > 0 else {
                throw context.error("a signal of shape \(signal.shape), or no positive frame_step")
            }
            let length = try frameLength(inputs)?.first ?? window?.count ?? signal.shape[1]
            let samples = window?.count ?? length
            guard length > 0, samples > 0, samples <= length, length <= signal.shape[1] else {
                throw context.error(
                    "frames of \(length) with a window of \(samples) over \(signal.shape[1]) samples")
            }
            try requireLength(length, context)
            let frames = 1 + (signal.shape[1] - length) / step
            // (batch, frames, pair, sample)
            var parts = try unfold(.tensor(signal), 1, .int(samples), .int(step)).narrowed(
                1, from: 0, length: frames)
            if let window { parts = try parts * window }
            let transform = try FourierTransform(
                length: length, samples: samples, isOneSided: isOneSided, isInverse: false)
            return [try transform(parts.transposed(2, 3), along: 2)]
        }
    }

    private static func requirePairs(_ signal: Tensor, _ context: OperatorContext) throws {
        guard signal.rank >= 2, signal.shape[signal.rank - 1] == 1 || signal.shape[signal.rank - 1] == 2
        else {
            throw context.error("a signal of shape \(signal.shape); its last dimension must be 1 or 2")
        }
    }

    /// The transform's matrix has to fit into memory.
    private static func requireLength(_ length: Int, _ context: OperatorContext) throws {
        guard length > 0 else { throw context.error("a transform of length \(length)") }
        guard length <= 1 << 14 else { throw context.unsupported("of length \(length), above 16384") }
    }

    /// A window of as many values as input 0 says: `shape` of the position, 0 to 1 over one period.
    private static func window(
        _ context: OperatorContext, _ shape: @escaping (Double) -> Double
    ) throws -> Kernel {
        let isPeriodic = try context.flag("periodic", default: true)
        let size = try context.integers(in: 0)
        return { inputs in
            guard let count = try size(inputs)?.first, (0...1 << 28).contains(count) else {
                throw context.error("the window's size is missing or out of range")
            }
            let period = isPeriodic ? count : count - 1
            return [
                try Tensor((0..<count).map { Float(period == 0 ? 1 : shape(Double($0) / Double(period))) })
            ]
        }
    }

    /// MelWeightMatrix: the number of mel bins, the transform's length, the sample rate and the lower and upper edge
    /// in Hz as inputs; triangles (length/2 + 1, bins) whose corners are evenly spaced in mel = 2595·log10(1 + f/700).
    private static func melWeightMatrix(_ context: OperatorContext) throws -> Kernel {
        let whole = try (0..<3).map { try context.integers(in: $0) }
        let edges = try (3..<5).map { try context.reals(in: $0) }
        return { inputs in
            let numbers = try whole.compactMap { try $0(inputs)?.first }
            let hertz = try edges.compactMap { try $0(inputs)?.first }
            guard numbers.count == 3, hertz.count == 2, numbers.allSatisfy({ $0 > 0 && $0 < 1 << 24 }),
                numbers[0] * numbers[1] < 1 << 28,
                hertz[0] >= 0, hertz[1] <= 1e9
            else { throw context.error("an input is missing or out of range") }
            let (bins, length, rate) = (numbers[0], numbers[1], numbers[2])
            let mels = hertz.map { 2595 * log10(1 + $0 / 700) }
            let corners = (0..<bins + 2).map { index in
                let mel = mels[0] + Double(index) * (mels[1] - mels[0]) / Double(bins + 2)
                return Int(
                    (Double(length + 1) * 700 * (pow(10, mel / 2595) - 1) / Double(rate)).rounded(.down))
            }
            let rows = length / 2 + 1
            guard corners.allSatisfy({ (0..<rows).contains($0) }), corners == corners.sorted() else {
                throw context.error(
                    "the edges \(hertz) Hz do not lie below half the sample rate \(rate) in order")
            }
            var weights = [Float](repeating: 0, count: rows * bins)
            for bin in 0..<bins {
                let (low, centre, high) = (corners[bin], corners[bin + 1], corners[bin + 2])
                for row in low..<centre { weights[row * bins + bin] = Float(row - low) / Float(centre - low) }
                weights[centre * bins + bin] = 1
                for row in centre..<high {
                    weights[row * bins + bin] = Float(high - row) / Float(high - centre)
                }
            }
            return [try Tensor(weights, shape: [rows, bins])]
        }
    }
}
