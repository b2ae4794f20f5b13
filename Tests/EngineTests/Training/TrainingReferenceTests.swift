import ComputationGraph
import Datasets
import Foundation
import ONNX
import Testing
import Torch
import Training
import Work

@testable import Engine

/// What PyTorch makes of the bundled models, by Scripts/reference/training.py.
private struct TrainingReference {
    struct Case: Decodable {
        let optimiser: String?
        let lr: Double?
        let clip: Double?
        let run: Bool?
        let tensors: Bool?
        let mask: String
        /// Parameters that the mask leaves unread.
        let unreached: [String]
        /// Parameters whose gradients are zero but for rounding, which AdamW makes steps of.
        let rounding: [String]
        /// What single precision does not pin down: how far PyTorch's own is from double precision.
        let unsteady: [String: Double]
    }
    struct Parameter: Decodable, Equatable {
        let name: String
        let shape: [Int]
        let decayed: Bool
    }
    struct Model: Decodable {
        let parameters: [Parameter]
        let cases: [String: Case]
    }
    struct Settings: Decodable {
        let models: [String: Model]
    }

    let archive: NumpyArchive
    let settings: Settings

    static func load() throws -> TrainingReference {
        let archive = try NumpyArchive(
            contentsOf: ModelFixture.folder.appending(path: "training.npz").path)
        return TrainingReference(
            archive: archive,
            settings: try JSONDecoder().decode(
                Settings.self, from: Data(try archive.array(named: "settings").bytes)))
    }

    func numbers(_ name: String) throws -> [Double] {
        try archive.array(named: name).floats().map { Double($0) }
    }
}

/// A bundled model in training, on the samples that the reference takes.
private final class ModelInTraining {
    let graph: Graph
    let dataset: Dataset
    let pass: GradientPass
    let parameters: [TrainableParameter]
    var weights: TrainedWeights
    let recipe: TrainingRecipe

    init(_ model: String, _ own: TrainingReference.Case, steps: Int, warmup: Int, schedule: RateSchedule)
        throws
    {
        let folder = ModelFixture.folder.deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Examples/\(model)")
        graph = try Graph.executable(ModelFile(contentsOf: folder.appending(path: "model.onnx").path))
        dataset = try Dataset(
            contentsOf: folder.appending(path: "calibration.npz").path,
            inputs: graph.inputs.map(InputSpecification.init))
        let network = try Network(graph)
        let mask = Mask(own.mask.split(separator: ",").compactMap { Edge(String($0)) })
        parameters = try graph.trainableParameters(under: mask)
        let isSGD = own.optimiser != "adamw"
        recipe = TrainingRecipe(
            optimizer: isSGD ? .sgd(momentum: 0.9) : .usualAdamW, rate: own.lr ?? (isSGD ? 0.05 : 0.001),
            schedule: schedule, warmup: warmup, steps: steps, batch: 32, microBatch: 32,
            weightDecay: isSGD ? 5e-4 : 0.05, clip: own.clip,
            objective: TrainingObjective(distillation: own.optimiser == nil ? 1 : 0, temperature: 2))
        let values = parameters.map(\.value)
        let elements = try network.elements(of: values)
        pass = try GradientPass(
            TrainingSubject(
                mask: mask, values: values, elements: elements.count, objective: recipe.objective),
            network, dataset, LossDescription(.crossEntropy, of: graph), means: Means())
        weights = TrainedWeights(
            elements, parts: parameters.map { .init(count: $0.count, decays: $0.decays) },
            optimizer: recipe.optimizer)
    }

    /// The gradient's mean over a step's samples, and their mean loss.
    func gradient() throws -> (mean: [Float], loss: Double) {
        let step = weights.steps
        let samples = (0..<32).map { (step * 32 + $0) % dataset.samples }
        try pass.use([UInt8(step)]) { weights.elements }
        let sum = try pass.sum(places: samples, samples: samples, step: step)
        return (sum.mean, sum.loss / sum.weight)
    }

    func step() throws -> Double {
        let (gradient, loss) = try gradient()
        _ = weights.step(gradient, by: recipe)
        return loss
    }

    /// By parameter, the elements that the reference keeps, and the norm of all.
    func tensors(of elements: [Float]) -> [String: (kept: [Double], norm: Double)] {
        var tensors: [String: (kept: [Double], norm: Double)] = [:]
        var start = 0
        for parameter in parameters {
            let own = elements[start..<start + parameter.count].map { Double($0) }
            let stride = max(1, own.count / 64)
            tensors[parameter.name] = (
                Swift.stride(from: 0, to: own.count, by: stride).map { own[$0] },
                own.reduce(0) { $0 + $1 * $1 }.squareRoot()
            )
            start += parameter.count
        }
        return tensors
    }
}

@Suite("Training, beside PyTorch")
struct TrainingReferenceTests {
    private let reference: TrainingReference
    init() throws { reference = try TrainingReference.load() }

    private func cases(_ model: String) throws -> [String: TrainingReference.Case] {
        try #require(reference.settings.models[model]).cases
    }

    @Test(
        "trains the parameters that PyTorch's form of the model has",
        arguments: ["digits-resnet", "digits-vit"])
    func parameters(model: String) throws {
        let own = try ModelInTraining(
            model, #require(cases(model)["sgd"]), steps: 1, warmup: 0, schedule: .constant)
        let expected = try #require(reference.settings.models[model]).parameters
        #expect(
            own.parameters.map {
                TrainingReference.Parameter(name: $0.name, shape: $0.shape, decayed: $0.decays)
            }
            .sorted { $0.name < $1.name } == expected.sorted { $0.name < $1.name })
    }

    /// Elements may differ by 1e-5 of the tensor's largest; where single precision does not pin a tensor down, by twice as much
    /// as PyTorch's own is from double precision.
    private func compare(
        _ elements: [Float], _ training: ModelInTraining, _ kind: String, _ prefix: String,
        _ own: TrainingReference.Case
    ) throws {
        for (name, found) in training.tensors(of: elements) {
            let expected = try reference.numbers("\(prefix)/\(kind)/\(name)")
            let norm = try reference.numbers("\(prefix)/\(kind)-norm/\(name)")[0]
            #expect(found.kept.count == expected.count)
            let isZero = own.rounding.contains(name)
            if isZero, kind != "gradient", own.optimiser == "adamw" { continue }
            let tolerance = max(1e-5, 2 * (own.unsteady["\(kind)/\(name)"] ?? 0))
            let largest =
                isZero && kind == "gradient"
                ? 1e-2 : max(expected.map(abs).max() ?? 0, norm / Double(expected.count))
            let apart = zip(found.kept, expected).map { abs($0 - $1) }.max() ?? 0
            #expect(apart <= tolerance * largest, "\(prefix) \(kind) \(name): \(apart) of \(largest)")
            #expect(
                abs(found.norm - norm) <= tolerance * max(norm, isZero ? 1 : 0),
                "\(prefix) \(kind) norm of \(name)")
        }
    }

    @Test("gradients and three steps are PyTorch's", arguments: ["digits-resnet", "digits-vit"])
    func steps(model: String) throws {
        for (name, own) in try cases(model) where own.tensors ?? true {
            let training = try ModelInTraining(model, own, steps: 3, warmup: 0, schedule: .constant)
            let prefix = "\(model)/\(name)"
            let table = try #require(reference.settings.models[model]).parameters.map(\.name)
            #expect(Set(table).subtracting(training.parameters.map(\.name)) == Set(own.unreached))
            let (gradient, loss) = try training.gradient()
            let expected = try reference.numbers("\(prefix)/loss")[0]
            #expect(abs(loss - expected) <= 1e-5 * expected, "\(prefix): \(loss), \(expected)")
            try compare(gradient, training, "gradient", prefix, own)
            guard own.optimiser != nil else { continue }
            for step in 1...3 {
                _ = try training.step()
                if step != 2 { try compare(training.weights.elements, training, "step\(step)", prefix, own) }
            }
        }
    }

    @Test("fifty steps keep to PyTorch's losses", arguments: ["digits-resnet", "digits-vit"])
    func runs(model: String) throws {
        for (name, own) in try cases(model) where own.run ?? false {
            let training = try ModelInTraining(model, own, steps: 50, warmup: 5, schedule: .cosine)
            let losses = try (0..<50).map { _ in try training.step() }
            let expected = try reference.numbers("\(model)/\(name)/losses")
            // A run that diverges, as one does, is chaos from there on.
            let apart = zip(losses, expected).prefix { $0.1 < 10 }.map { abs($0 - $1) }.max() ?? 0
            #expect(apart <= 1e-3, "\(model)/\(name): \(apart)")
        }
    }
}
