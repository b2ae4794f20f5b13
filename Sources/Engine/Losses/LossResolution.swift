internal import ComputationGraph
public import Datasets
internal import Foundation
internal import ONNX
internal import Torch

/// A loss in full, from what the user says, what the graph tells and what the first samples show.
public struct LossResolution {
    /// What is measured.
    public let description: LossDescription
    /// What is worth a line: what was decided otherwise than the graph looks, and what is not measured.
    public let notes: [String]

    /// - Parameters:
    ///   - block: samples that are computed at once.
    ///   - constants: the losses of a constant output, without factors; asked for where losses have to be made
    ///     comparable.
    /// - Throws: `EngineError` where a loss has no meaning on an output, with what to do about it.
    public init(
        _ request: LossRequest, network: Network, dataset: Dataset, block: [Int],
        constants: (LossDescription) throws -> [Double?]
    ) throws {
        var resolver = try LossResolver(request, network: network, dataset: dataset, block: block)
        let terms = try resolver.terms()
        let positionWeights = try resolver.positionWeights(of: terms)
        var description = LossDescription(
            terms: terms, positionWeights: positionWeights, inputAxes: dataset.inputAxes)
        try resolver.checkSamples(description)
        if resolver.isScaled(description) {
            let losses = try constants(description)
            for index in description.terms.indices {
                description.terms[index].unit = LossResolution.rounded(losses[index])
            }
        }
        self.description = description
        notes = resolver.notes
    }

    /// Three digits: a unit only has to make losses comparable, and other machines may round the last ones otherwise.
    private static func rounded(_ unit: Double?) -> Double {
        guard let unit, unit.isFinite, unit > 0 else { return 1 }
        return Double(String(format: "%.2e", unit)) ?? 1
    }
}

/// Works out terms.
private struct LossResolver {
    private let request: LossRequest
    private let network: Network
    private let dataset: Dataset
    private let probe: OutputProbe
    private let tolerance: Double
    private(set) var notes: [String] = []

    init(_ request: LossRequest, network: Network, dataset: Dataset, block: [Int]) throws {
        try request.check(
            inputs: network.graph.inputs.map(\.name), outputs: network.graph.outputs.map(\.name))
        self.request = request
        self.network = network
        self.dataset = dataset
        probe = try OutputProbe(network, dataset: dataset, block: block, axes: request.sampleAxes)
        tolerance = OutputProbe.tolerance(network.graph)
    }

    private var graph: Graph { network.graph }

    // MARK: Which outputs

    mutating func terms() throws -> [LossDescription.Term] {
        if request.terms.contains(where: { $0.output != nil }) {
            return try request.terms.map { asked in
                guard let index = graph.outputs.firstIndex(where: { $0.name == asked.output }) else {
                    throw EngineError.data("the model has no output '\(asked.output ?? "")'")
                }
                if let part = asked.part {
                    return try term(asked.loss, of: part, of: index, weight: asked.weight)
                }
                return try term(asked.loss, of: index, weight: asked.weight)
            }
        }
        let named = request.outputs.compactMap { name in graph.outputs.firstIndex { $0.name == name } }
        let weight = request.terms.first?.weight ?? 1
        guard let asked = request.terms.first?.loss ?? suppliedLoss(named.first ?? 0) else {
            return try (named.isEmpty ? consistentOutputs() : named).flatMap { index in
                try naturalTerms(of: index, weight: weight)
            }
        }
        guard let own = asked.selfConsistent, isSelfConsistent(asked) else {
            return try (named.isEmpty ? [0] : named).map { try term(asked, of: $0, weight: weight) }
        }
        let outputs = named.isEmpty ? try consistentOutputs() : named
        return try outputs.flatMap { index in
            // Beside an output that the divergence is made for, others get what their form calls for.
            own == .klDivergence && outputs.count > 1
                ? try naturalTerms(of: index, weight: weight) : [try term(own, of: index, weight: weight)]
        }
    }

    /// The loss that labels or targets of the data call for.
    private mutating func suppliedLoss(_ output: Int) -> Loss? {
        if dataset.labels != nil {
            let loss = Loss.natural(for: dataset)
            return loss == .crossEntropy && (try? form(of: output).0) == .sigmoids
                ? .binaryCrossEntropy : loss
        }
        return dataset.targets != nil ? .meanSquaredError : nil
    }

    /// The self-consistency that an output calls for, or each of the kinds of numbers that it joins.
    private mutating func naturalTerms(of index: Int, weight: Double) throws -> [LossDescription.Term] {
        guard let joined = try joinedParts(of: index) else {
            return [try term(naturalLoss(of: index), of: index, weight: weight)]
        }
        return try joined.ranges.map { range in
            try term(nil, of: LossDescription.Part(axis: joined.axis, range), of: index, weight: weight)
        }
    }

    /// A loss of a part of an output.
    ///
    /// - Parameter asked: the loss; `nil` for the self-consistency that the part calls for.
    private func term(_ asked: Loss?, of part: LossDescription.Part, of index: Int, weight: Double) throws
        -> LossDescription.Term
    {
        let port = graph.outputs[index]
        let (tensor, sampleAxis) = (probe.outputs[index].tensor, probe.outputs[index].sampleAxis ?? 0)
        guard part.axis < tensor.rank, part.axis != sampleAxis, part.upper <= tensor.shape[part.axis],
            tensor.scalarType.isFloatingPoint
        else {
            throw EngineError.data(
                "output '\(port.name)' has shape \(tensor.shape), its samples in dimension \(sampleAxis), and no "
                    + "numbers \(part.text)")
        }
        let range = part.lower..<part.upper
        let joined = try joinedParts(of: index)
        let known = joined.flatMap { joined in
            joined.axis == part.axis ? zip(joined.ranges, joined.parts).first { $0.0 == range }?.1.form : nil
        }
        let numbers = try tensor.narrowed(part.axis, from: part.lower, length: range.count)
        let form =
            try request.forms[port.name] ?? request.forms[""]
            ?? OutputForm.shown(
                by: numbers, traced: known ?? TracedForm(of: port.value, in: graph).form, along: part.axis,
                tolerance)
        let natural = asked ?? Loss.natural(for: form)
        let loss = isSelfConsistent(natural) ? natural.selfConsistent ?? natural : natural
        // The samples are put first.
        let place = part.axis < sampleAxis ? part.axis + 1 : part.axis
        if let objection = loss.definition.objection(to: form, classes: range.count, loss: loss.rawValue) {
            throw EngineError.data("output '\(port.name)[\(part.text)]' \(objection)")
        }
        return LossDescription.Term(
            output: port.name, loss: loss, form: form, sampleAxis: sampleAxis,
            classAxis: place == ClassLayout.dimension(rank: tensor.rank) ? nil : place, weight: weight,
            array: try array(of: loss, port.name), part: part)
    }

    /// The kinds of numbers that an output joins; `nil` where it is of one kind, or the user says what it is.
    private func joinedParts(of index: Int) throws -> OutputParts? {
        let port = graph.outputs[index]
        let output = probe.outputs[index]
        guard request.forms[port.name] == nil, request.forms[""] == nil, output.tensor.rank > 1,
            output.tensor.scalarType.isFloatingPoint, TracedForm(of: port.value, in: graph).form == .values
        else { return nil }
        let samples = 0..<min(graph.fixedSamples(dataset) ?? 1, dataset.samples)
        let shapes = try network.shapes(for: dataset, samples: Array(samples)).values
        let joined = OutputParts(of: port.value, in: graph, shapes: shapes, skipping: output.sampleAxis)
        return joined.flatMap { joined in
            output.tensor.shape[joined.axis] == joined.parts.reduce(0) { $0 + $1.count } ? joined : nil
        }
    }

    /// The self-consistency that an output calls for. What a linear layer gives beside other outputs may be coordinates as
    /// well as logits: there it counts as logits only if it is named so.
    private mutating func naturalLoss(of index: Int) throws -> Loss {
        let form = try form(of: index).0
        let isOnlyOne = probe.outputs.count { $0.tensor.scalarType.isFloatingPoint } == 1
        let isNamedSo = graph.outputs[index].name.lowercased().contains("logit")
        let natural = Loss.natural(for: form == .logits && !isOnlyOne && !isNamedSo ? .values : form)
        // Features of shape [samples, 1, 1, 96] look like logits of one class.
        let objection = try natural.definition.objection(to: form, classes: classes(of: index), loss: "")
        return objection == nil ? natural : .selfMeanSquaredError
    }

    /// How many numbers lie along an output's dimension of classes.
    private mutating func classes(of index: Int) throws -> Int {
        let arranged = arranged(probe.outputs[index])
        guard arranged.count > 1 else { return 1 }
        return try arranged[form(of: index).1 ?? ClassLayout.dimension(rank: arranged.count)]
    }

    private func isSelfConsistent(_ loss: Loss) -> Bool {
        if loss.needsReference { return true }
        guard loss != .meanSquaredError else { return false }
        let hasTargets = dataset.arrays.keys.contains { $0 == "targets" || $0.hasPrefix("targets.") }
        return !hasTargets && !(loss == .binaryCrossEntropy && dataset.labels != nil)
    }

    /// All floating-point outputs that have a row for each sample.
    private mutating func consistentOutputs() throws -> [Int] {
        let floats = probe.outputs.indices.filter { probe.outputs[$0].tensor.scalarType.isFloatingPoint }
        let found = floats.filter { probe.outputs[$0].sampleAxis != nil }
        // Without any, the first one is all of a single sample, or its error says what is wrong.
        guard !found.isEmpty else { return [0] }
        notes += floats.filter { probe.outputs[$0].sampleAxis == nil }.map {
            "output '\(graph.outputs[$0].name)', shape \(probe.outputs[$0].tensor.shape) for \(probe.samples.count) "
                + "samples, has no row for each sample and is not measured"
        }
        return found
    }

    // MARK: One output

    private mutating func term(_ asked: Loss, of index: Int, weight: Double) throws -> LossDescription.Term {
        let port = graph.outputs[index]
        let output = probe.outputs[index]
        guard output.tensor.scalarType.isFloatingPoint else {
            throw EngineError.data(
                "output '\(port.name)' is \(port.elementType.name): a loss needs floating-point numbers")
        }
        let loss = isSelfConsistent(asked) ? asked.selfConsistent ?? asked : asked
        var (form, classAxis) = try form(of: index)
        if let objection = try loss.definition.objection(
            to: form, classes: classes(of: index), loss: loss.rawValue)
        {
            throw EngineError.data("output '\(port.name)' \(objection)")
        }
        if loss == .klDivergence && form == .values {
            notes.append(
                "kl takes the softmax of output '\(port.name)', which does not look like logits; --loss self-mse "
                    + "compares its numbers themselves")
            form = .logits
        }
        return LossDescription.Term(
            output: port.name, loss: loss, form: form, sampleAxis: output.sampleAxis ?? 0,
            classAxis: classAxis,
            weight: weight, array: try array(of: loss, port.name))
    }

    private func array(of loss: Loss, _ output: String) throws -> String? {
        let comparison = loss.definition.comparison
        guard var role = comparison.array else { return nil }
        if comparison == .targetsOrLabels, dataset.targets == nil, dataset.arrays["\(role).\(output)"] == nil
        {
            role = Dataset.labelsName
        }
        let own = "\(role).\(output)"
        return dataset.arrays[own] != nil ? own : role
    }

    // MARK: Form

    /// What an output is, confirmed on the first samples, and the dimension of its classes where it is not the usual one.
    private mutating func form(of index: Int) throws -> (OutputForm, Int?) {
        let port = graph.outputs[index]
        let output = probe.outputs[index]
        let traced = TracedForm(of: port.value, in: graph)
        let said = request.forms[port.name] ?? request.forms[""]
        guard output.tensor.scalarType.isFloatingPoint else { return (.values, nil) }
        let form = said ?? traced.form
        switch form {
        case .logits, .values: return (form, nil)
        case .sigmoids:
            if try areShares(output.tensor) { return (form, nil) }
        case .probabilities, .logProbabilities:
            let rank = output.tensor.rank
            let tensor = try form == .probabilities ? output.tensor : exponential(.tensor(output.tensor))
            if let axis = try distributionAxis(tensor, output, traced.axis) {
                return (form, axis == ClassLayout.dimension(rank: rank) ? nil : axis)
            }
        }
        if said != nil {
            throw EngineError.data(
                "output '\(port.name)' was said to be \(form.rawValue) (--output-is), but on the data it is not: "
                    + (form == .sigmoids
                        ? "its numbers are not between 0 and 1"
                        : "no dimension of it sums to 1"))
        }
        let isShares = try form == .probabilities && areShares(output.tensor)
        let note =
            "output '\(port.name)' looks like \(form.rawValue) in the graph, but not on the data: it is taken for "
            + (isShares ? "sigmoids" : "values") + " (--output-is says otherwise)"
        if !notes.contains(note) { notes.append(note) }
        return (isShares ? .sigmoids : .values, nil)
    }

    /// An output's shape with the samples first.
    private func arranged(_ output: OutputProbe.Output) -> [Int] {
        var shape = output.tensor.shape
        if let axis = output.sampleAxis, axis > 0, axis < shape.count {
            shape.insert(shape.remove(at: axis), at: 0)
        }
        return shape
    }

    private func areShares(_ tensor: Tensor) throws -> Bool { try tensor.areShares(tolerance) }

    /// The dimension, samples first, along which an output that is not negative sums to 1: the traced one if it does,
    /// then the usual one, then the longest.
    private func distributionAxis(_ tensor: Tensor, _ output: OutputProbe.Output, _ traced: Int?) throws
        -> Int?
    {
        guard try areShares(tensor) else { return nil }
        let sampleAxis = output.sampleAxis ?? 0
        let rank = tensor.rank
        guard rank >= 2, sampleAxis < rank else { return nil }
        let others = (0..<rank).filter { $0 != sampleAxis }
        let arranged = try tensor.converted(to: .float64).permuted([sampleAxis] + others)
        let summing = try (1..<rank).filter { dimension in
            try arranged.sumsToOne(along: dimension, tolerance)
        }
        if let traced, let place = others.firstIndex(of: rank + traced), summing.contains(place + 1) {
            return place + 1
        }
        if summing.contains(ClassLayout.dimension(rank: rank)),
            arranged.shape[ClassLayout.dimension(rank: rank)] > 1
        {
            return ClassLayout.dimension(rank: rank)
        }
        return summing.max { arranged.shape[$0] < arranged.shape[$1] }
    }

    // MARK: Positions, samples, units

    /// The input that weighs positions: the one asked for, or an array of zeros and ones [N, T] that is named like a mask,
    /// and not like one of padding, which would mean the opposite.
    func positionWeights(of terms: [LossDescription.Term]) throws -> String? {
        switch request.positionWeights {
        case .none: return nil
        case .input(let name):
            guard let array = dataset.arrays[name], array.shape.count == 2, dataset.inputAxes[name] != -1
            else {
                throw EngineError.data(
                    "the input '\(name)' has no weight for each position: it needs the shape [N, T]")
            }
            guard try weights(array).allSatisfy({ $0.isFinite && $0 >= 0 }) else {
                throw EngineError.data("the input '\(name)' has negative weights of positions")
            }
            return name
        case .automatic:
            return try dataset.inputNames.first { name in
                let lower = name.lowercased()
                guard lower.contains("mask"), !lower.contains("pad"), let array = dataset.arrays[name],
                    array.shape.count == 2, dataset.inputAxes[name] != -1
                else { return false }
                // An embedding [N, C] has no positions to be weighed.
                let hasPositions = terms.contains { term in
                    guard let index = graph.outputs.firstIndex(where: { $0.name == term.output }) else {
                        return false
                    }
                    let shape = probe.outputs[index].tensor.shape
                    return shape.count >= 3 && shape.contains(array.shape[1])
                }
                guard hasPositions else { return false }
                let values = try weights(array)
                // All alike, they weigh nothing: then sums are those without them, to the bit.
                return values.allSatisfy { $0 == 0 || $0 == 1 } && values.contains(0)
            }
        }
    }

    private func weights(_ array: NumpyArray) throws -> [Float] {
        try array.elementType.isFloatingPoint ? array.floats() : array.int64s().map { Float($0) }
    }

    /// Refuses outputs whose numbers depend on the other samples of their block, unless that is allowed.
    mutating func checkSamples(_ description: LossDescription) throws {
        for term in description.terms {
            guard let index = graph.outputs.firstIndex(where: { $0.name == term.output }),
                let mixing = probe.outputs[index].mixing, mixing > tolerance
            else { continue }
            let amount = mixing.isFinite ? String(format: "%.2g of its largest number", mixing) : "its shape"
            let sentence =
                "output '\(term.output)' of a sample depends on the other samples that are computed with it (alone it "
                + "differs by \(amount))"
            guard request.allowsMixedSamples else {
                throw EngineError.data(
                    sentence
                        + ": a loss would depend on the block size. The model may use statistics of its batch, or "
                        + "have its samples in another dimension (--batch-axis NAME=1); --allow-mixed-samples measures it "
                        + "all the same")
            }
            notes.append("warning: " + sentence)
        }
    }

    /// Whether losses are divided by that of a constant output: where several outputs are compared with themselves, and
    /// where nobody chose a loss for numbers of an unknown scale.
    func isScaled(_ description: LossDescription) -> Bool {
        let isUnweighted = !request.terms.contains { $0.output != nil }
        let areOwn = description.terms.allSatisfy { $0.loss.needsReference }
        guard isUnweighted, areOwn else { return false }
        return description.terms.count > 1
            || request.terms.isEmpty && description.terms[0].loss == .selfMeanSquaredError
    }
}

private let exponential = Operation("aten::exp")
