internal import Report

/// How a training went, from measurement to measurement.
public struct TrainingCurve: Codable, Sendable, Hashable {
    /// What was known after some steps.
    public struct Point: Codable, Sendable, Hashable {
        /// The steps that were taken.
        public let step: Int
        /// How many times all samples were used.
        public let epoch: Double
        /// The learning rate of the last step; 0 before the first.
        public let rate: Double
        /// The mean loss that was trained on, over the steps since the point before.
        public let trainingLoss: Double?
        /// The largest L2 norm of a gradient over these steps, before it was shortened.
        public let gradientNorm: Double?
        /// The loss on the validation data.
        public let validationLoss: Double?
        /// The share of their labels that are predicted right.
        public let validationAccuracy: Double?
    }

    /// The points, from the untrained model on.
    public internal(set) var points: [Point] = []

    /// The point whose weights do best on the validation data: the smallest loss, of equal ones the first.
    public var best: Point? {
        points.filter { $0.validationLoss?.isFinite ?? false }.min {
            ($0.validationLoss ?? .infinity, $0.step) < ($1.validationLoss ?? .infinity, $1.step)
        }
    }

    /// The points as CSV.
    var csv: String {
        func text(_ number: Double?) -> String { number.map { "\($0)" } ?? "" }
        let lines = points.map { point in
            [
                "\(point.step)", "\(point.epoch)", "\(point.rate)", text(point.trainingLoss),
                text(point.gradientNorm), text(point.validationLoss), text(point.validationAccuracy),
            ].joined(separator: ",")
        }
        return
            (["step,epoch,rate,training_loss,gradient_norm,validation_loss,validation_accuracy"] + lines)
            .joined(separator: "\n") + "\n"
    }
}

extension TrainingCurve.Point {
    /// The point in a line.
    var text: String {
        func digits(_ number: Double) -> String { NumberText.significant(number) }
        var parts = ["step \(step)"]
        if let trainingLoss { parts.append("rate \(digits(rate)), training loss \(digits(trainingLoss))") }
        if let validationLoss { parts.append("validation loss \(digits(validationLoss))") }
        if let validationAccuracy { parts.append("accuracy \(NumberText.percent(validationAccuracy))") }
        return parts.joined(separator: ", ")
    }
}
