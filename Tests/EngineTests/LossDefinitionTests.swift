import Datasets
import Foundation
import Testing
import Torch

@testable import Engine

/// One loss on outputs of one form, with what they are compared with.
struct DefinedLoss: Sendable, CustomTestStringConvertible {
    let loss: Loss
    let form: OutputForm
    var testDescription: String { "\(loss.rawValue) of \(form.rawValue)" }

    /// All that mean something.
    static let all: [DefinedLoss] = Loss.allCases.flatMap { loss in
        OutputForm.allCases.filter {
            loss.definition.objection(to: $0, classes: 3, loss: loss.rawValue) == nil
        }.map { DefinedLoss(loss: loss, form: $0) }
    }

    var function: LossFunction {
        LossFunction(term: LossDescription.Term(output: "y", loss: loss, form: form))
    }

    /// Two samples of two positions with three classes: numbers that outputs of the form have.
    func numbers(_ seed: Double) -> [Double] {
        let plain = (0..<12).map { place in
            let phase = Double(place) * 0.7 + seed * Double(1 + place % 5)
            return phase.truncatingRemainder(dividingBy: 1.9) - 0.9
        }
        switch form {
        case .logits, .values: return plain
        case .sigmoids: return plain.map { 0.5 + $0 / 2.5 }
        case .probabilities, .logProbabilities:
            let shares = stride(from: 0, to: 12, by: 3).flatMap { start in
                let powers = plain[start..<start + 3].map { 2 + $0 }
                return powers.map { $0 / powers.reduce(0, +) }
            }
            return form == .probabilities ? shares : shares.map { Foundation.log($0) }
        }
    }

    func tensor(_ numbers: [Double]) throws -> Tensor { try Tensor(numbers, shape: [2, 2, 3]) }

    /// Labels, the second of which does not count; targets; or other outputs.
    func reference() throws -> LossFunction.Reference {
        switch loss.definition.comparison {
        case .labels(let reading):
            let labels = try Labels(
                NumpyArray(shape: [2, 2], values: [2, -100, 0, 1] as [Int64]), reading: reading)
            return .labels(try LabelBlock(labels.block([0, 1])))
        case .targetsOrLabels: return .flags([0, 1, 2, 1], positions: 2)
        case .targets, .unprunedOutputs: return .tensor(try tensor(numbers(0.3)))
        }
    }
}

@Suite("The definition of a loss")
struct LossDefinitionTests {
    @Test("has the gradient that differences of its own numbers tell", arguments: DefinedLoss.all)
    func gradient(of subject: DefinedLoss) throws {
        let reference = try subject.reference()
        let numbers = subject.numbers(0)
        func losses(_ output: Tensor) throws -> Tensor {
            try subject.function.losses(output, against: reference, counts: nil, samples: 2)
        }
        func total(_ numbers: [Double]) throws -> Double {
            try losses(subject.tensor(numbers)).elements(as: Double.self).reduce(0, +)
        }
        let output = try subject.tensor(numbers)
        try output.requireGradient()
        let sum = try TorchRuntime.withGradients { try losses(output).summed(over: [0]) }
        let gradient = try #require(try Tensor.gradients(of: [sum], withRespectTo: [output])[0])
        let found: [Double] = try gradient.elements()
        let step = 1e-6
        let expected = try numbers.indices.map { place in
            var (up, down) = (numbers, numbers)
            up[place] += step
            down[place] -= step
            return try (total(up) - total(down)) / (2 * step)
        }
        #expect(distance(found, expected) < 1e-6, "\(found), expected \(expected)")
    }

    @Test("gives the search the numbers that gradients are taken of", arguments: DefinedLoss.all)
    func oneNumber(of subject: DefinedLoss) throws {
        let reference = try subject.reference()
        let output = try subject.tensor(subject.numbers(0)).converted(to: .float32)
        let scores = try subject.function.scores(output, against: reference, counts: nil, samples: 2)
        let losses = try TorchRuntime.withGradients {
            try subject.function.losses(output, against: reference, counts: nil, samples: 2)
        }
        #expect(try scores.losses == losses.elements(as: Float.self))
        #expect(scores.losses.allSatisfy { $0 >= 0 })
        #expect(scores.correct.isEmpty == !subject.loss.needsLabels)
    }

    @Test("is 0 for what it is compared with", arguments: DefinedLoss.all.filter { $0.loss.needsReference })
    func zero(of subject: DefinedLoss) throws {
        let output = try subject.tensor(subject.numbers(0)).converted(to: .float32)
        let scores = try subject.function.scores(output, against: .tensor(output), counts: nil, samples: 2)
        #expect(scores.losses == [0, 0])
    }

    @Test(
        "with labels adds positions in order and in single precision, which every journal's last bits rest on"
    )
    func orderOfPositions() throws {
        let (samples, positions) = (5, 300)
        var state: UInt64 = 7
        func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 33
        }
        let values = (0..<samples * positions).map { _ in Float(next() % 1_000_003) / 77_777 }
        // A third does not count, and of the last sample nothing.
        let labels = (0..<samples * positions).map { place in
            next() % 3 == 0 || place >= (samples - 1) * positions ? Dataset.ignoredLabel : Int64(0)
        }
        let read = try Labels(NumpyArray(shape: [samples, positions], values: labels), reading: .own)
        let means: [Float] = try LabelBlock(read.block(Array(0..<samples))).mean(Tensor(values)).elements()
        for sample in 0..<samples {
            var (sum, count) = (Float(0), Float(0))
            for place in sample * positions..<(sample + 1) * positions
            where labels[place] != Dataset.ignoredLabel {
                sum += values[place]
                count += 1
            }
            #expect(means[sample].bitPattern == (count == 0 ? 0 : sum / count).bitPattern)
        }
    }
}
