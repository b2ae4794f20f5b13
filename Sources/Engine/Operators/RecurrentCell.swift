internal import Torch

private let clamp = Operation("aten::clamp")
private let flip = Operation("aten::flip")
private let gather = Operation("aten::gather")

/// One direction of a recurrent layer, computed step by step: every variant that ONNX has.
///
/// Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the peepholes of Gers et al., 2002; Cho et al.,
/// "Learning Phrase Representations using RNN Encoder-Decoder", 2014. The letters are those of ONNX's specification.
struct RecurrentCell {
    private let layer: RecurrentLayer
    private let direction: Int
    /// W, (gates·hidden, input), transposed; R, (gates·hidden, hidden).
    private let inputWeight: Tensor
    private let hiddenWeight: Tensor
    private let inputBias: Tensor?
    private let hiddenBias: Tensor?
    /// LSTM's weights from the cell to the gates i, o and f.
    private let peepholes: [Tensor]?
    private let hidden: Int

    /// - Parameters:
    ///   - weights: W, R, B and P as ONNX gives them, for all directions.
    init(
        _ layer: RecurrentLayer, direction: Int, _ w: Tensor, _ r: Tensor, _ b: Tensor?, _ p: Tensor?
    ) throws(TorchError) {
        self.layer = layer
        self.direction = direction
        hidden = r.shape[2]
        inputWeight = try w.selecting(0, at: direction).transposed(0, 1)
        hiddenWeight = try r.selecting(0, at: direction)
        let both = try b?.selecting(0, at: direction)
        let rows = layer.kind.gates * hidden
        inputBias = try both?.narrowed(0, from: 0, length: rows)
        hiddenBias = try both?.narrowed(0, from: rows, length: rows)
        var parts: [Tensor]?
        if let p = try p?.selecting(0, at: direction) {
            parts = [
                try p.narrowed(0, from: 0, length: hidden), try p.narrowed(0, from: hidden, length: hidden),
                try p.narrowed(0, from: 2 * hidden, length: hidden),
            ]
        }
        peepholes = parts
    }

    /// Runs over the sequence.
    ///
    /// - Parameters:
    ///   - x: (sequence, batch, input).
    ///   - h, c: the state before the first step, (batch, hidden).
    ///   - lengths: the number of steps of every sample; `nil` when all take all steps.
    /// - Returns: the outputs (sequence, batch, hidden), 0 behind a sample's last step, and the state after it.
    func run(_ x: Tensor, h: Tensor, c: Tensor?, lengths: [Int]?) throws(TorchError) -> (
        y: Tensor, h: Tensor, c: Tensor?
    ) {
        let (steps, batch) = (x.shape[0], x.shape[1])
        guard steps > 0 else { return (try Tensor.filled(0, shape: [0, batch, hidden]), h, c) }
        let ordered = try layer.reversed[direction] ? reversed(x, lengths) : x
        var projected = try ordered.matrixProduct(inputWeight)
        if let inputBias { projected = try projected + inputBias }
        var (h, c) = (h, c)
        var outputs: [Tensor] = []
        let none = try lengths.map { _ throws(TorchError) in try Tensor.filled(0, shape: [batch, hidden]) }
        for time in 0..<steps {
            let (newH, newC) = try step(projected.selecting(0, at: time), h, c)
            guard let lengths, let none, lengths.contains(where: { $0 <= time }) else {
                (h, c) = (newH, newC)
                outputs.append(newH)
                continue
            }
            let active = try Tensor(lengths.map { time < $0 }, shape: [batch, 1])
            outputs.append(try active.choosing(newH, else: none))
            h = try active.choosing(newH, else: h)
            if let newC, let old = c { c = try active.choosing(newC, else: old) }
        }
        let y = try Tensor.stacked(outputs, along: 0)
        return (try layer.reversed[direction] ? reversed(y, lengths) : y, h, c)
    }

    /// Every sample's steps from the last to the first; what lies behind its last step stays there.
    private func reversed(_ x: Tensor, _ lengths: [Int]?) throws(TorchError) -> Tensor {
        guard let lengths else { return try flip(.tensor(x), .ints([0])) }
        let indices = (0..<x.shape[0]).flatMap { time in lengths.map { time < $0 ? $0 - 1 - time : time } }
        let sources = try Tensor(indices, shape: [x.shape[0], x.shape[1], 1]).expanded(x.shape)
        return try gather(.tensor(x), 0, .tensor(sources))
    }

    private func step(_ x: Tensor, _ h: Tensor, _ c: Tensor?) throws(TorchError) -> (Tensor, Tensor?) {
        switch layer.kind {
        case .lstm:
            guard let c else { return try longShortTermStep(x, h, Tensor.filled(0, shape: h.shape)) }
            return try longShortTermStep(x, h, c)
        case .gru: return (try gatedStep(x, h), nil)
        case .rnn: return (try activated(0, x + linear(h, rows: 0..<1)), nil)
        }
    }

    private func longShortTermStep(_ x: Tensor, _ h: Tensor, _ c: Tensor) throws(TorchError) -> (
        Tensor, Tensor
    ) {
        let all = try x + linear(h, rows: 0..<4)
        var (i, o, f) = (try gate(all, 0), try gate(all, 1), try gate(all, 2))
        if let peepholes {
            i = try i + peepholes[0] * c
            f = try f + peepholes[2] * c
        }
        i = try activated(0, i)
        if layer.couplesGates { f = try i * -1 + 1 } else { f = try activated(0, f) }
        let next = try f * c + i * activated(1, gate(all, 3))
        if let peepholes { o = try o + peepholes[1] * next }
        return (try activated(0, o) * layer.activations[direction][2](next), next)
    }

    private func gatedStep(_ x: Tensor, _ h: Tensor) throws(TorchError) -> Tensor {
        let both = try linear(h, rows: 0..<2)
        let z = try activated(0, gate(x, 0) + gate(both, 0))
        let r = try activated(0, gate(x, 1) + gate(both, 1))
        let candidate = layer.resetsAfter ? try r * linear(h, rows: 2..<3) : try linear(r * h, rows: 2..<3)
        let fresh = try activated(1, gate(x, 2) + candidate)
        return try (z * -1 + 1) * fresh + z * h
    }

    /// The part of the gates `rows` that follows from the hidden state, with its bias.
    private func linear(_ h: Tensor, rows: Range<Int>) throws(TorchError) -> Tensor {
        let (start, length) = (rows.lowerBound * hidden, rows.count * hidden)
        let product = try h.matrixProduct(
            hiddenWeight.narrowed(0, from: start, length: length).transposed(0, 1))
        guard let hiddenBias else { return product }
        return try product + hiddenBias.narrowed(0, from: start, length: length)
    }

    private func gate(_ all: Tensor, _ index: Int) throws(TorchError) -> Tensor {
        try all.narrowed(1, from: index * hidden, length: hidden)
    }

    private func activated(_ function: Int, _ x: Tensor) throws(TorchError) -> Tensor {
        guard let clip = layer.clip else { return try layer.activations[direction][function](x) }
        return try layer.activations[direction][function](clamp(.tensor(x), .double(-clip), .double(clip)))
    }
}
