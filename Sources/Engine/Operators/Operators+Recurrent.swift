internal import ComputationGraph
internal import ONNX
internal import Torch

private let flip = Operation("aten::flip")

extension Operators {
    /// Recurrent layers.
    nonisolated(unsafe) static let recurrent: OperatorFamily = [
        "LSTM": { context in try recurrent(.lstm, context) },
        "GRU": { context in try recurrent(.gru, context) },
        "RNN": { context in try recurrent(.rnn, context) },
    ]

    /// X (sequence, batch, input), W (directions, gates·hidden, input), R (directions, gates·hidden, hidden),
    /// optional B (directions, 2·gates·hidden), sequence lengths (batch), initial h and, for LSTM, c (directions,
    /// batch, hidden) and peepholes P (directions, 3·hidden).
    private static func recurrent(_ kind: RecurrentKind, _ context: OperatorContext) throws -> Kernel {
        let layer = try RecurrentLayer(kind, context)
        let lengths = try context.integers(in: 4)
        let size = try context.node.int("hidden_size", default: nil)
        let hasBias = context.vertex.inputs.count > 3 && context.vertex.inputs[3] != nil
        var prepared: [Tensor]?
        if layer.torchOperation != nil, let w = context.constant(1),
            let r = context.constant(2),
            !hasBias || context.constant(3) != nil
        {
            try requireShapes(w, r, context.constant(3), layer, size)
            prepared = try layer.torchWeights(w, r, context.constant(3))
        }
        return { [prepared] inputs in
            let given = try context.required(inputs, 0)
            let (w, r) = (try context.required(inputs, 1), try context.required(inputs, 2))
            let b = context.optional(inputs, 3)
            try requireShapes(w, r, b, layer, size)
            guard given.rank == 3, given.shape[2] == w.shape[2] else {
                throw context.error("an input of shape \(given.shape) with weights of shape \(w.shape)")
            }
            let x = layer.batchFirst ? try given.transposed(0, 1) : given
            let steps = try sequenceLengths(lengths(inputs), x, context)
            let shape = [layer.reversed.count, x.shape[1], r.shape[2]]
            let h = try state(context.optional(inputs, 5), shape: shape, layer)
            let c = kind == .lstm ? try state(context.optional(inputs, 6), shape: shape, layer) : nil
            let p = kind == .lstm ? context.optional(inputs, 7) : nil
            if let operation = layer.torchOperation, steps == nil, p == nil, x.shape[0] > 0 {
                let weights = try prepared ?? layer.torchWeights(w, r, b)
                return try fast(operation, x, [h] + (c.map { [$0] } ?? []), weights, hasBias: b != nil, layer)
            }
            var (outputs, hs, cs): ([Tensor], [Tensor], [Tensor]) = ([], [], [])
            for direction in layer.reversed.indices {
                let cell = try RecurrentCell(layer, direction: direction, w, r, b, p)
                let result = try cell.run(
                    x, h: h.selecting(0, at: direction), c: c?.selecting(0, at: direction), lengths: steps)
                outputs.append(result.y)
                hs.append(result.h)
                if let c = result.c { cs.append(c) }
            }
            let states = [hs] + (kind == .lstm ? [cs] : [])
            return try arranged(
                Tensor.stacked(outputs, along: 1), states.map { try Tensor.stacked($0, along: 0) }, layer)
        }
    }

    /// The standard layer by libtorch's own loop.
    private static func fast(
        _ operation: Operation, _ x: Tensor, _ states: [Tensor], _ weights: [Tensor], hasBias: Bool,
        _ layer: RecurrentLayer
    ) throws -> [Tensor?] {
        // libtorch has no layer that only runs from the end: the sequence is turned instead.
        let turns = layer.reversed == [true]
        let sequence = turns ? try flip(.tensor(x), .ints([0])) : x
        let state: Argument = layer.kind == .lstm ? .tensors(states) : .tensor(states[0])
        let results = try operation.call([
            .tensor(sequence), state, .tensors(weights), .bool(hasBias), 1, 0.0, false,
            .bool(layer.reversed.count == 2), false,
        ])
        let directions = layer.reversed.count
        let flat = turns ? try flip(.tensor(results[0]), .ints([0])) : results[0]
        let y = try flat.reshaped([x.shape[0], x.shape[1], directions, -1]).transposed(1, 2)
        return try arranged(y, Array(results.dropFirst()), layer)
    }

    /// The outputs, from (sequence, directions, batch, hidden) and (directions, batch, hidden), in the node's layout.
    private static func arranged(_ y: Tensor, _ states: [Tensor], _ layer: RecurrentLayer) throws -> [Tensor?]
    {
        guard layer.batchFirst else { return [y] + states }
        return try [y.permuted([2, 0, 1, 3])] + states.map { try $0.transposed(0, 1) }
    }

    /// A state to begin with, [directions, batch, hidden]. One for a single sample begins all: exporters write the batch that a
    /// model was traced with into its file, and a state that is given may be the same for every sample.
    private static func state(_ given: Tensor?, shape: [Int], _ layer: RecurrentLayer) throws -> Tensor {
        guard let given else { return try Tensor.filled(0, shape: shape) }
        let state = layer.batchFirst && given.rank == 3 ? try given.transposed(0, 1) : given
        if state.shape == shape { return state }
        guard state.shape == [shape[0], 1, shape[2]] else {
            throw layer.context.error("an initial state of shape \(given.shape) where \(shape) is needed")
        }
        return try state.expanded(shape)
    }

    /// The sequences' lengths; `nil` when all are as long as the input.
    private static func sequenceLengths(_ given: [Int]?, _ x: Tensor, _ context: OperatorContext) throws
        -> [Int]?
    {
        guard let given else { return nil }
        guard given.count == x.shape[1], given.allSatisfy({ (0...x.shape[0]).contains($0) }) else {
            throw context.error("sequence_lens \(given) for \(x.shape[1]) sequences of \(x.shape[0]) steps")
        }
        return given.allSatisfy { $0 == x.shape[0] } ? nil : given
    }

    private static func requireShapes(
        _ w: Tensor, _ r: Tensor, _ b: Tensor?, _ layer: RecurrentLayer, _ size: Int?
    ) throws {
        let directions = layer.reversed.count
        guard w.rank == 3, r.rank == 3, size == nil || r.shape[2] == size,
            r.shape == [directions, layer.kind.gates * r.shape[2], r.shape[2]],
            w.shape == [directions, layer.kind.gates * r.shape[2], w.shape[2]],
            b == nil || b?.shape == [directions, 2 * layer.kind.gates * r.shape[2]]
        else {
            throw layer.context.error(
                "weights of shapes \(w.shape), \(r.shape) and \(b.map { "\($0.shape)" } ?? "none") do not fit "
                    + "\(directions) directions with \(layer.kind.gates) gates")
        }
    }
}
