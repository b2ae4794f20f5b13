/// What was measured: which outputs by which losses, and on what scale.
public struct LossReport: Sendable, Hashable, Encodable {
    /// An output that the loss is measured on.
    public struct Output: Sendable, Hashable, Encodable {
        /// The output's name.
        public let name: String
        /// The loss's name.
        public let loss: String
        /// What the output's numbers are: logits, probabilities, log-probabilities, sigmoids or values.
        public let form: String
        /// What the loss is multiplied by.
        public let weight: Double
        /// What it is divided by, to be comparable with others: the loss of a constant output.
        public let unit: Double
        /// The dimension of the samples.
        public let sampleAxis: Int
        /// The positions that it is of; left out where it is of all.
        public let part: Part?

        /// Positions along a dimension of an output.
        public struct Part: Sendable, Hashable, Encodable {
            /// The dimension, as the model has it.
            public let axis: Int
            /// The first position.
            public let lower: Int
            /// The position after the last one.
            public let upper: Int

            /// The positions from `lower` up to `upper`.
            public init(axis: Int, lower: Int, upper: Int) {
                (self.axis, self.lower, self.upper) = (axis, lower, upper)
            }
        }

        /// An output, or a part of one.
        public init(
            name: String, loss: String, form: String, weight: Double, unit: Double, sampleAxis: Int,
            part: Part? = nil
        ) {
            (self.name, self.loss, self.form) = (name, loss, form)
            (self.weight, self.unit, self.sampleAxis) = (weight, unit, sampleAxis)
            self.part = part
        }

        /// `scores: self-bce of sigmoids`, with weight and unit where they are not 1.
        var text: String {
            var text = name
            if let part { text += ", \(part.lower)..<\(part.upper) of dimension \(part.axis)" }
            text += ": \(loss) of \(form)"
            if weight != 1 { text += ", times \(NumberText.significant(weight))" }
            if unit != 1 { text += ", divided by \(NumberText.significant(unit)), that of its mean" }
            if sampleAxis != 0 { text += ", samples in dimension \(sampleAxis)" }
            return text
        }
    }

    /// An output that the loss does not see.
    public struct Unmeasured: Sendable, Hashable, Encodable {
        /// The output's name.
        public let name: String
        /// The largest change of its numbers on the first samples, relative to the largest number; of whole numbers, the
        /// share that changes.
        public let change: Double

        /// An output with its change.
        public init(name: String, change: Double) { (self.name, self.change) = (name, change) }
    }

    /// The outputs that count.
    public let outputs: [Output]
    /// The input that weighs positions.
    public let positionWeights: String?
    /// The loss of a model that gives the same for every sample.
    public let constantPredictorLoss: Double?
    /// The outputs that do not count and change all the same.
    public let unmeasured: [Unmeasured]

    /// A report.
    public init(
        outputs: [Output], positionWeights: String?, constantPredictorLoss: Double?, unmeasured: [Unmeasured]
    ) {
        self.outputs = outputs
        self.positionWeights = positionWeights
        self.constantPredictorLoss = constantPredictorLoss
        self.unmeasured = unmeasured
    }

    /// A loss relative to that of a constant output; `nil` where there is no such scale.
    public func relative(_ loss: Double?) -> Double? {
        guard let loss, let constantPredictorLoss, constantPredictorLoss > 0, loss.isFinite else {
            return nil
        }
        return loss / constantPredictorLoss
    }

    /// ` (0.12 of a constant output's)`; nothing where there is no such scale.
    public func relativeText(_ loss: Double?) -> String {
        relative(loss).map { " (\(NumberText.significant($0)) of a constant output's)" } ?? ""
    }

    /// Some lines for people.
    public var text: String {
        var text = outputs.map { "output \($0.text)\n" }.joined()
        if let positionWeights { text += "positions are weighted by the input \(positionWeights)\n" }
        if let constantPredictorLoss {
            text += "a constant output would lose \(NumberText.significant(constantPredictorLoss))\n"
        }
        for output in unmeasured {
            text +=
                "output \(output.name) is not measured, and changes by up to "
                + "\(NumberText.significant(output.change)) of its largest number\n"
        }
        return text
    }
}
