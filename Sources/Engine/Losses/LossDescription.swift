public import ComputationGraph
public import Datasets
internal import FoundationEssentials

/// What is measured, in full: which outputs count, by which losses, and where samples lie. Everything of a loss that
/// decides a result; workers and the journal are told the same text.
public struct LossDescription: Sendable, Hashable, Codable {
    /// The loss of one output.
    public struct Term: Sendable, Hashable, Codable {
        /// The output's name.
        public var output: String
        /// How far it is from what it should be.
        public var loss: Loss
        /// What its numbers are.
        public var form: OutputForm
        /// The dimension of its samples.
        public var sampleAxis: Int
        /// The dimension of its classes or features, the samples' dimension being put first; `nil` for the usual one:
        /// the second of four or more, otherwise the last.
        public var classAxis: Int?
        /// What the loss is multiplied by: as the user weighs it, positive.
        public var weight: Double
        /// What it is divided by, so that losses of different outputs are comparable; positive.
        public var unit: Double
        /// The array that it is compared with; `nil` for the unpruned model's output.
        public var array: String?
        /// The positions that it is of, where the output joins numbers of several kinds; `nil` for all.
        public var part: Part?

        /// The loss of an output of its own, or of a part of one.
        public init(
            output: String, loss: Loss, form: OutputForm, sampleAxis: Int = 0, classAxis: Int? = nil,
            weight: Double = 1, unit: Double = 1, array: String? = nil, part: Part? = nil
        ) {
            (self.output, self.loss, self.form) = (output, loss, form)
            (self.sampleAxis, self.classAxis) = (sampleAxis, classAxis)
            (self.weight, self.unit, self.array) = (weight, unit, array)
            self.part = part
        }

        /// What its losses are multiplied by.
        var factor: Double { weight / unit }
    }

    /// Positions along a dimension of an output.
    public struct Part: Sendable, Hashable, Codable {
        /// The dimension, as the model has it.
        public var axis: Int
        /// The first position.
        public var lower: Int
        /// The position after the last one.
        public var upper: Int

        /// The positions from `range`.
        public init(axis: Int, _ range: Range<Int>) {
            (self.axis, lower, upper) = (axis, range.lowerBound, range.upperBound)
        }

        /// `1:4..<22`: the dimension and its positions, as units have them.
        public var text: String { "\(axis):\(lower)..<\(upper)" }

        /// Reads what `text` wrote.
        public init?(text: Substring) {
            guard let found = text.wholeMatch(of: /(\d{1,2}):(\d{1,9})\.\.<(\d{1,9})/),
                let axis = Int(found.output.1), let lower = Int(found.output.2),
                let upper = Int(found.output.3), lower < upper
            else { return nil }
            self.init(axis: axis, lower..<upper)
        }
    }

    /// The outputs that count, at least one. A sample's loss is the sum over them.
    public var terms: [Term]
    /// The input, [N, T], that says how much each position of [N, T, …] counts; `nil` where all count alike.
    public var positionWeights: String?
    /// The samples' dimension of inputs where it is not the first; −1 for an input that all samples share.
    public var inputAxes: [String: Int] = [:]

    /// Some terms.
    public init(terms: [Term], positionWeights: String? = nil, inputAxes: [String: Int] = [:]) {
        (self.terms, self.positionWeights, self.inputAxes) = (terms, positionWeights, inputAxes)
    }

    /// A loss of the first output, whose form the graph tells.
    ///
    /// - Throws: `EngineError` when there is no output.
    public init(_ loss: Loss, of graph: Graph) throws {
        guard let port = graph.outputs.first else { throw EngineError.data("the model has no output") }
        let traced = TracedForm(of: port.value, in: graph)
        self.init(terms: [
            Term(
                output: port.name, loss: loss, form: traced.form, array: loss.definition.comparison.array)
        ])
    }

    /// Reads what `text` wrote, or the name of a loss.
    ///
    /// - Throws: `EngineError` for a text that is neither, or does not fit the model.
    public init(text: String, graph: Graph) throws {
        if let loss = Loss(rawValue: text) {
            try self.init(loss, of: graph)
        } else if let read = try? JSONDecoder().decode(LossDescription.self, from: Data(text.utf8)) {
            self = read
        } else {
            throw EngineError.data("there is no loss '\(text.prefix(100))'")
        }
        try check(graph)
    }

    /// Where the inputs have their samples, of a text that `text` wrote for a model that need not be at hand.
    public static func inputAxes(inText text: String) -> [String: Int] {
        (try? JSONDecoder().decode(LossDescription.self, from: Data(text.utf8)))?.inputAxes ?? [:]
    }

    /// One line: the loss's name where nothing else has to be said, otherwise JSON with sorted keys.
    ///
    /// - Throws: `EngineError` for numbers that are none.
    public func text(for graph: Graph) throws -> String {
        if let term = terms.first, try self == LossDescription(term.loss, of: graph) {
            return term.loss.rawValue
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return String(decoding: try encoder.encode(self), as: UTF8.self) } catch {
            throw EngineError.data("the loss cannot be told: \(error)")
        }
    }

    /// A few words for people: `kl`, or `boxes=mse:0.1, scores=self-bce`.
    public var name: String {
        guard terms.count > 1 || terms[0].weight != 1 else { return terms[0].loss.rawValue }
        return terms.map { term in
            term.output + (term.part.map { "[\($0.text)]" } ?? "") + "=\(term.loss.rawValue)"
                + (term.weight == 1 ? "" : ":\(term.weight)")
        }.joined(separator: ", ")
    }

    /// Whether anything is compared with the unpruned model's outputs.
    public var needsReference: Bool { terms.contains { $0.loss.needsReference } }
    /// The term whose predictions are right or wrong, if there is one.
    var labelled: Term? { terms.first { $0.loss.needsLabels } }

    private func check(_ graph: Graph) throws {
        guard !terms.isEmpty else { throw EngineError.data("a loss needs an output") }
        for term in terms {
            guard graph.outputs.contains(where: { $0.name == term.output }) else {
                throw EngineError.data("the model has no output '\(term.output)'")
            }
            guard term.weight.isFinite, term.unit.isFinite, term.weight > 0, term.unit > 0,
                (0..<64).contains(term.sampleAxis), term.classAxis.map({ (1..<64).contains($0) }) ?? true,
                term.part.map({ (0..<64).contains($0.axis) && 0 <= $0.lower && $0.lower < $0.upper }) ?? true
            else { throw EngineError.data("the loss of output '\(term.output)' makes no sense") }
        }
        for name in Array(inputAxes.keys) + (positionWeights.map { [$0] } ?? []) {
            guard graph.inputs.contains(where: { $0.name == name }) else {
                throw EngineError.data("the model has no input '\(name)'")
            }
        }
    }
}

// MARK: Weights and labels

extension LossDescription {
    /// The weight of every sample: 1 or the number of labels that count, times the data's own weights.
    ///
    /// - Throws: `EngineError` when the data has not what the loss needs, or every weight is 0.
    public func weights(for dataset: Dataset) throws -> [Float] {
        let compared = terms.filter { $0.array != nil }
        let decisive = labelled ?? compared.first
        for term in compared {
            let weights = try weights(of: term, for: dataset)
            if term == decisive { return weights }
        }
        return try weights(of: terms[0], for: dataset)
    }

    private func weights(of term: Term, for dataset: Dataset) throws -> [Float] {
        var weights = try dataset.weights?.floats() ?? [Float](repeating: 1, count: dataset.samples)
        let array = term.array.flatMap { dataset.arrays[$0] }
        switch term.loss.definition.comparison {
        case .labels(let reading):
            guard let array, let labels = try labels(of: term, in: dataset) else {
                throw EngineError.data(
                    "the loss \(term.loss.rawValue) needs an array 'labels', and the data has none")
            }
            if array.shape.count > 1 {
                for (sample, count) in labels.counts.perSample.enumerated() {
                    weights[sample] *= Float(count)
                }
            } else if reading == .following {
                throw EngineError.data(
                    "the loss next-token needs labels of shape [N, T], not \(array.shape)")
            } else if let ignored = labels.counts.perSample.firstIndex(of: 0) {
                throw EngineError.data("labels: sample \(ignored) has the label −100")
            }
        case .targets where array == nil:
            throw EngineError.data(
                "the loss \(term.loss.rawValue) needs an array 'targets', and the data has none"
                    + (term.loss.selfConsistent.map {
                        "; \($0.rawValue) compares with the unpruned model's outputs"
                    } ?? ""))
        case .targets, .targetsOrLabels, .unprunedOutputs: break
        }
        guard weights.contains(where: { $0 > 0 }) else {
            throw EngineError.data("every sample has the weight 0: there is nothing to measure")
        }
        return weights
    }

    /// The labels that the predictions of a term are held against; `nil` where there are none.
    func labels(of term: Term, in dataset: Dataset) throws -> Labels? {
        guard case .labels(let reading) = term.loss.definition.comparison,
            let array = term.array.flatMap({ dataset.arrays[$0] })
        else { return nil }
        return try Labels(
            array, reading: reading, positionWeights: positionWeights.flatMap { dataset.arrays[$0] })
    }

    /// The labels that count towards the accuracy; `nil` where there are none.
    public func labelCounts(in dataset: Dataset) throws -> LabelCounts? {
        try labelled.flatMap { try labels(of: $0, in: dataset) }?.counts
    }
}
