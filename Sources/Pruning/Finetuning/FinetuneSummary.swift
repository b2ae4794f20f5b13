internal import Report
public import Training

/// What a fine-tuning came to, as JSON and in a few lines.
public struct FinetuneSummary: Encodable, Sendable {
    /// The model as it was named.
    public let model: String
    /// The trained model's file.
    public let output: String
    /// The training data as they were named.
    public let data: String
    /// Training samples.
    public let samples: Int
    /// The validation data as they were named.
    public let validation: String?
    /// Validation samples.
    public let validationSamples: Int?
    /// That samples serve twice, where they do.
    public let overlap: String?
    /// What is removed.
    public let removed: [String]
    /// The loss's name.
    public let lossFunction: String
    /// Who teaches, where somebody does.
    public let teacher: String?
    /// How it was trained.
    public let recipe: TrainingRecipe
    /// The numbers that were trained.
    public let trainedParameters: Int
    /// The tensors that they are in.
    public let trainedTensors: Int
    /// Layers that normalised by the batch.
    public let batchNorms: Int
    /// The step after which the weights in the file were.
    public let chosenStep: Int
    /// SHA-256 of the trained weights in the file, float32 in the order of the model's values.
    public let weights: String
    /// Worker processes; 0 for this process alone.
    public let workers: Int
    /// How long it took.
    public let seconds: Double
    /// How it went.
    public let curve: TrainingCurve

    /// The point of the weights that the file has.
    private var chosen: TrainingCurve.Point? { curve.points.last { $0.step == chosenStep } }

    /// The result in a few lines.
    public var text: String {
        var text =
            "trained \(NumberText.counted(trainedParameters, "number")) in \(NumberText.counted(trainedTensors, "tensor")) on "
            + "\(NumberText.counted(samples, "sample")) of \(data) (\(lossFunction)\(teacher.map { ", taught by \($0)" } ?? "")), "
            + "\(NumberText.counted(recipe.steps, "step")) of \(recipe.batch)\n"
        if batchNorms > 0 { text += "\(NumberText.counted(batchNorms, "layer")) normalised by the batch\n" }
        if let overlap { text += "warning: \(overlap)\n" }
        if let first = curve.points.first { text += "before: \(first.text)\n" }
        if let chosen { text += "after:  \(chosen.text)\n" }
        if chosenStep != recipe.steps {
            text += "kept the weights after step \(chosenStep), which do best on the validation data\n"
        }
        return text + "weights: sha256 \(weights)\nmodel: \(output)\n"
    }
}
