internal import Files

/// What the user says of the loss; all else follows from model and data.
public struct LossRequest: Sendable, Hashable {
    /// A loss, of a certain output or of those that count.
    public struct Term: Sendable, Hashable {
        /// The output's name; `nil` for those that count.
        public var output: String?
        /// The positions of the output that count; `nil` for all.
        public var part: LossDescription.Part?
        /// The loss.
        public var loss: Loss
        /// What it is multiplied by.
        public var weight: Double

        /// A loss with its weight.
        public init(
            output: String? = nil, part: LossDescription.Part? = nil, loss: Loss, weight: Double = 1
        ) {
            (self.output, self.part, self.loss, self.weight) = (output, part, loss, weight)
        }
    }

    /// Where positions get their weights from.
    public enum PositionWeights: Sendable, Hashable {
        /// The input that looks like an attention mask, if there is one.
        case automatic
        /// Nowhere.
        case none
        /// An input.
        case input(String)
    }

    /// The losses; empty for those that model and data call for.
    public var terms: [Term]
    /// The outputs that count; empty for those that the loss is made for.
    public var outputs: [String]
    /// What outputs are, by name; under the empty name, what all are.
    public var forms: [String: OutputForm]
    /// Where outputs and inputs have their samples; −1 for an input that all samples share.
    public var sampleAxes: [String: Int]
    /// Where positions get their weights from.
    public var positionWeights: PositionWeights
    /// Whether outputs may depend on other samples of their block.
    public var allowsMixedSamples: Bool

    /// What model and data call for, unless more is said.
    public init(
        terms: [Term] = [], outputs: [String] = [], forms: [String: OutputForm] = [:],
        sampleAxes: [String: Int] = [:], positionWeights: PositionWeights = .automatic,
        allowsMixedSamples: Bool = false
    ) {
        self.terms = terms
        self.outputs = outputs
        self.forms = forms
        self.sampleAxes = sampleAxes
        self.positionWeights = positionWeights
        self.allowsMixedSamples = allowsMixedSamples
    }

    /// A loss of the outputs that it is made for.
    public init(_ loss: Loss) { self.init(terms: [Term(loss: loss)]) }

    /// Reads `LOSS`, `LOSS:WEIGHT`, or `OUTPUT=LOSS[:WEIGHT]` of one or more outputs, separated by commas. A part of an output
    /// is written as `OUTPUT[AXIS:LOWER..<UPPER]`.
    ///
    /// - Throws: `EngineError` that says what is wrong.
    public static func terms(reading text: String) throws -> [Term] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            var output: String?
            var rest = part
            if let equals = part.lastIndex(of: "=") {
                output = String(part[..<equals])
                rest = part[part.index(after: equals)...]
            }
            var weight = 1.0
            if let colon = rest.lastIndex(of: ":") {
                guard let number = Double(rest[rest.index(after: colon)...]), number.isFinite, number > 0
                else {
                    throw EngineError.data(
                        "'\(part)': the weight '\(rest[rest.index(after: colon)...])' is no positive number")
                }
                weight = number
                rest = rest[..<colon]
            }
            guard let loss = Loss(rawValue: String(rest)), output != "" else {
                throw EngineError.data(
                    "'\(part)' is none of LOSS, LOSS:WEIGHT, OUTPUT=LOSS and OUTPUT=LOSS:WEIGHT, with LOSS one of "
                        + Loss.allCases.map(\.rawValue).joined(separator: ", ")
                        + Suggestion.text(for: String(rest), among: Loss.allCases.map(\.rawValue)))
            }
            let place = try output.map(LossRequest.place)
            return Term(output: place?.output, part: place?.part, loss: loss, weight: weight)
        }
    }

    /// An output, and the part of it that is named behind it in brackets.
    private static func place(_ text: String) throws -> (output: String, part: LossDescription.Part?) {
        guard text.hasSuffix("]"), let bracket = text.lastIndex(of: "["), bracket > text.startIndex else {
            return (text, nil)
        }
        let inside = text[text.index(after: bracket)...].dropLast()
        guard let part = LossDescription.Part(text: inside) else {
            throw EngineError.data(
                "'\(text)': a part of an output is written as NAME[AXIS:LOWER..<UPPER], e.g. "
                    + "\(text[..<bracket])[1:0..<4]")
        }
        return (String(text[..<bracket]), part)
    }

    /// Checks that every name is one of the model, and that losses with and without an output are not mixed.
    func check(inputs: [String], outputs names: [String]) throws {
        let named = terms.compactMap(\.output)
        guard named.isEmpty || named.count == terms.count, named.count > 0 || terms.count < 2 else {
            throw EngineError.data(
                "--loss takes one loss, or an output's name before every one (boxes=mse,scores=bce)")
        }
        guard named.isEmpty || outputs.isEmpty else {
            throw EngineError.data("--loss names outputs already; leave --measure-output away")
        }
        for name in named + outputs + forms.keys.filter({ !$0.isEmpty }).sorted() where !names.contains(name)
        {
            throw EngineError.data(
                "the model has no output '\(name)'; it has \(names.map { "'\($0)'" }.joined(separator: ", "))"
            )
        }
        for (name, axis) in sampleAxes.sorted(by: { $0.key < $1.key }) {
            guard inputs.contains(name) || names.contains(name) else {
                throw EngineError.data("the model has no input or output '\(name)'")
            }
            guard axis >= 0 || inputs.contains(name) else {
                throw EngineError.data("the output '\(name)' needs a dimension of samples")
            }
        }
        if case .input(let name) = positionWeights, !inputs.contains(name) {
            throw EngineError.data("the model has no input '\(name)' to weigh positions by")
        }
    }
}
