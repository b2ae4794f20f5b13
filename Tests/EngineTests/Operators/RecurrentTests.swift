import ONNX
import Testing
import Torch

@testable import Engine

/// All expected numbers are ONNX Runtime's outputs for the same inputs.
@Suite struct RecurrentTests {
    private func run(
        _ operation: String, gates: Int, direction: String = "forward", lengths: [Int32]? = nil,
        state: Tensor? = nil
    ) throws -> [Tensor] {
        var attributes = [
            AttributeProto(name: "hidden_size", int: 2), AttributeProto(name: "direction", string: direction),
        ]
        if operation == "GRU" { attributes.append(AttributeProto(name: "linear_before_reset", int: 1)) }
        let rows = gates * 2
        return try OneNode(operation: operation, attributes: attributes, outputs: 2, constants: [1, 2, 3])(
            counted(0..<12, shape: [3, 2, 2]) { ($0 - 5) / 8 },
            counted(0..<rows * 2, shape: [1, rows, 2]) { ($0 - Float(rows)) / 10 },
            counted(0..<rows * 2, shape: [1, rows, 2]) { ($0 - Float(gates)) / 20 },
            counted(0..<rows * 2, shape: [1, rows * 2]) { $0 / 40 }, lengths.map { try Tensor($0) }, state)
    }

    /// ONNX Runtime takes one for each sample only.
    @Test(arguments: ["GRU", "RNN", "LSTM"])
    func aSingleInitialStateBeginsAllSamples(operation: String) throws {
        let gates = ["GRU": 3, "RNN": 1, "LSTM": 4][operation] ?? 0
        let single = try run(
            operation, gates: gates, state: Tensor([0.5, -0.25] as [Float], shape: [1, 1, 2]))
        let each = try run(
            operation, gates: gates, state: Tensor([0.5, -0.25, 0.5, -0.25] as [Float], shape: [1, 2, 2]))
        #expect(try isClose(single[0], each[0].elements(as: Float.self)))
        let none = try run(operation, gates: gates)
        #expect(try !isClose(single[0], none[0].elements(as: Float.self)))
        #expect(throws: EngineError.self) {
            try run(operation, gates: gates, state: Tensor([0, 0, 0, 0, 0, 0] as [Float], shape: [1, 3, 2]))
        }
    }

    @Test func theWholeSequenceBackwards() throws {
        let lstm = try run("LSTM", gates: 4, direction: "reverse")
        #expect(lstm[0].shape == [3, 1, 2, 2])
        #expect(
            try isClose(
                lstm[0],
                [
                    0.288523525, 0.250661224, 0.323239386, 0.35114786, 0.257753193, 0.303734988, 0.236516431,
                    0.312373161, 0.135942563, 0.191609904, 0.110310227, 0.175113022,
                ]))
        #expect(try isClose(lstm[1], [0.288523525, 0.250661224, 0.323239386, 0.35114786]))
        let gru = try run("GRU", gates: 3, direction: "reverse")
        #expect(try isClose(gru[1], [0.209232628, 0.183387861, 0.327804774, 0.376718581]))
        let rnn = try run("RNN", gates: 1, direction: "reverse")
        #expect(try isClose(rnn[1], [0.217538595, 0.064906716, 0.148521066, 0.088546395]))
    }

    @Test func shortSequencesEndEarly() throws {
        let lstm = try run("LSTM", gates: 4, lengths: [1, 3])
        #expect(
            try isClose(
                lstm[0],
                [
                    0, -0.076441653, 0.09147162, 0.058519717, 0, 0, 0.201096639, 0.230431035, 0, 0,
                    0.211391419,
                    0.314340472,
                ]))
        #expect(try isClose(lstm[1], [0, -0.076441653, 0.211391419, 0.314340472]))
        let gru = try run("GRU", gates: 3, lengths: [1, 3])
        #expect(try isClose(gru[1], [-0.0075146, -0.076857381, 0.434184164, 0.527627528]))
    }

    @Test func lengthsBeyondTheSequenceAreAnError() throws {
        let error = #expect(throws: EngineError.self) { try run("RNN", gates: 1, lengths: [1, 4]) }
        #expect(error?.description.contains("sequence_lens [1, 4]") == true)
    }

    @Test func anUnknownActivationIsAnError() throws {
        let node = OneNode(
            operation: "RNN", attributes: [AttributeProto(name: "activations", strings: ["Step"])])
        let x = try counted(0..<4, shape: [1, 2, 2])
        let error = #expect(throws: EngineError.self) { try node(x, x, x) }
        #expect(error?.description.contains("'Step'") == true)
    }
}
