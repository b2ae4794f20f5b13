internal import ComputationGraph
internal import ONNX
internal import Torch

/// The three recurrent operators, with what differs between them.
enum RecurrentKind {
    case lstm, gru, rnn

    /// Gates, whose weights lie below one another.
    var gates: Int {
        switch self {
        case .lstm: 4
        case .gru: 3
        case .rnn: 1
        }
    }
    /// For each of libtorch's gates, ONNX's: i, f, g, o from i, o, f, c; r, z, n from z, r, h.
    var torchOrder: [Int] {
        switch self {
        case .lstm: [0, 2, 3, 1]
        case .gru: [1, 0, 2]
        case .rnn: [0]
        }
    }
    /// The activation functions of one direction.
    var activations: [RecurrentActivation] {
        switch self {
        case .lstm: [.sigmoid, .tanh, .tanh]
        case .gru: [.sigmoid, .tanh]
        case .rnn: [.tanh]
        }
    }
}

/// What the attributes of an LSTM, GRU or RNN node say.
struct RecurrentLayer {
    private enum Direction: String, CaseIterable { case forward, reverse, bidirectional }

    let kind: RecurrentKind
    /// For each direction whether it runs from the end.
    let reversed: [Bool]
    /// For each direction its functions: f, g, h.
    let activations: [[RecurrentActivation]]
    /// The limit of what enters an activation function.
    let clip: Double?
    /// LSTM: the forget gate is what the input gate leaves.
    let couplesGates: Bool
    /// GRU: the reset gate acts behind the linear transformation.
    let resetsAfter: Bool
    /// The batch comes before the sequence.
    let batchFirst: Bool
    let context: OperatorContext

    init(_ kind: RecurrentKind, _ context: OperatorContext) throws {
        self.kind = kind
        self.context = context
        let node = context.node
        switch try context.choice("direction", default: Direction.forward) {
        case .forward: reversed = [false]
        case .reverse: reversed = [true]
        case .bidirectional: reversed = [false, true]
        }
        let count = kind.activations.count
        if let names = try node.strings("activations", default: nil), !names.isEmpty {
            guard names.count == count * reversed.count else {
                throw context.error(
                    "attribute activations has \(names.count) names where \(count * reversed.count) are needed"
                )
            }
            let all = try RecurrentActivation.list(
                names, alphas: node.floats("activation_alpha", default: []),
                betas: node.floats("activation_beta", default: []), context)
            activations = reversed.indices.map { Array(all[$0 * count..<($0 + 1) * count]) }
        } else {
            activations = reversed.map { _ in kind.activations }
        }
        clip = try node.float("clip", default: nil).map(Double.init)
        couplesGates = try context.flag("input_forget")
        resetsAfter = try context.flag("linear_before_reset")
        batchFirst = try context.flag("layout")
    }

    /// The operator of libtorch that computes this layer, where there is one.
    var torchOperation: Operation? {
        guard clip == nil, !couplesGates, activations.allSatisfy({ $0 == activations[0] }) else { return nil }
        switch (kind, activations[0]) {
        case (.lstm, kind.activations): return lstm
        case (.gru, kind.activations): return resetsAfter ? gru : nil
        case (.rnn, [.tanh]): return rnnTanh
        case (.rnn, [.relu]): return rnnRelu
        default: return nil
        }
    }

    /// The weights as libtorch's operators take them: for every direction W, R and, where given, their biases, with
    /// the gates in libtorch's order.
    func torchWeights(_ w: Tensor, _ r: Tensor, _ b: Tensor?) throws -> [Tensor] {
        let hidden = r.shape[2]
        func reordered(_ rows: Tensor) throws -> Tensor {
            try Tensor.concatenated(
                kind.torchOrder.map { try rows.narrowed(0, from: $0 * hidden, length: hidden) }, along: 0)
        }
        var weights: [Tensor] = []
        for direction in reversed.indices {
            weights.append(try reordered(w.selecting(0, at: direction)))
            weights.append(try reordered(r.selecting(0, at: direction)))
            guard let both = try b?.selecting(0, at: direction) else { continue }
            let rows = kind.gates * hidden
            weights.append(try reordered(both.narrowed(0, from: 0, length: rows)))
            weights.append(try reordered(both.narrowed(0, from: rows, length: rows)))
        }
        return weights
    }
}

private let lstm = Operation("aten::lstm.input")
private let gru = Operation("aten::gru.input")
private let rnnTanh = Operation("aten::rnn_tanh.input")
private let rnnRelu = Operation("aten::rnn_relu.input")
