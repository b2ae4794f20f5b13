internal import ONNX

/// Recurrent layers.
extension OperatorFacts {
    static let recurrent: [String: OperatorFacts] = each(
        ["GRU", "LSTM", "RNN"],
        OperatorFacts(
            axes: recurrentAxes, operations: recurrentOperations, role: .product, hasWeights: true))

    /// Every gate sums over the features that a step reads. Samples stay apart; steps, directions and the layer's own neurons
    /// all depend on each other.
    private static let recurrentAxes: AxisRule = { query in
        guard let sequence = query.input(0), sequence.count == 3, let weight = query.input(1),
            weight.count == 3,
            weight[2] == sequence[2]
        else { return nil }
        let isSamplesFirst = try query.vertex.node.int("layout", default: 0) == 1
        var builder = AxisMapBuilder()
        let samples = builder.axis(sequence[isSamplesFirst ? 0 : 1])
        let features = builder.axis(sequence[2], .summed)
        /// Mixed axes, but for that of the samples.
        func others(_ shape: [Int]?, samplesAt place: Int?) -> [AxisMap.Axis]? {
            shape.map { shape in
                shape.indices.map { $0 == place ? samples : builder.axis(shape[$0], .mixed) }
            }
        }
        let steps = builder.axis(sequence[isSamplesFirst ? 1 : 0], .mixed)
        let gates = [builder.axis(weight[0], .mixed), builder.axis(weight[1], .mixed), features]
        let read = query.inputs.indices.map { slot -> [AxisMap.Axis]? in
            switch slot {
            case 0: isSamplesFirst ? [samples, steps, features] : [steps, samples, features]
            case 1: gates
            // Lengths of sequences.
            case 4: nil
            case 5, 6: others(query.inputs[slot], samplesAt: isSamplesFirst ? 0 : 1)
            default: others(query.inputs[slot], samplesAt: nil)
            }
        }
        let written = query.outputs.indices.map { output in
            others(query.outputs[output], samplesAt: isSamplesFirst ? 0 : output == 0 ? 2 : 1)
        }
        return builder.map(inputs: read, outputs: written)
    }

    /// Both matrix products of every gate, at every step.
    private static let recurrentOperations: @Sendable (FloatingPointOperations) -> Int = { node in
        guard let sequence = node.input(0), sequence.count == 3, let weight = node.input(1),
            let recurrence = node.input(2)
        else { return 0 }
        return 2 * sequence[0] * sequence[1] * (node.elements(weight) + node.elements(recurrence))
    }
}
