/// What refits the weights for a mask before it is measured.
///
/// What it makes is a pure function of the weights that a variant starts from, its mask, the fit data and the recovery. Written
/// as its rungs and settings with commas between, defaults left out: `none`, `least-squares`, `norm,least-squares,ridge=0.01`.
public struct Recovery: Hashable, Sendable, LosslessStringConvertible {
    /// A kind of refitting. Those of one recovery work together.
    public enum Rung: String, Hashable, Sendable, CaseIterable {
        /// Every normalisation whose input changed: scale and shift, per channel.
        case norm
        /// Every linear layer whose input changed, in graph order: its bias alone, so that the mean of what it gives is that of the
        /// unpruned model's output. What removed parts contributed on average is folded into it.
        case bias
        /// Every linear layer whose input changed, in graph order, towards the unpruned model's output.
        case leastSquares = "least-squares"
    }

    /// What is refitted in closed form; nothing where it is empty.
    public let rungs: Set<Rung>
    /// The ridge's strength, as a share of the mean of the Gram matrix's diagonal; `nil` where rows held out of the fit choose
    /// it, layer by layer.
    public let ridge: Double?
    /// The rows that a layer is fitted on, for each of its features.
    public let rowsPerFeature: Int
    /// A short training after the refits; `nil` for none.
    public let training: ShortTraining?

    /// Enough rows: twice as many change the held-out loss of the bundled models by less than their noise.
    public static let usualRowsPerFeature = 8

    /// A recovery of these rungs.
    ///
    /// - Parameters:
    ///   - ridge: finite and not negative.
    ///   - rowsPerFeature: at least 1.
    ///   - training: follows the refits.
    public init(
        _ rungs: Set<Rung>, ridge: Double? = nil, rowsPerFeature: Int = Recovery.usualRowsPerFeature,
        training: ShortTraining? = nil
    ) {
        precondition(rowsPerFeature >= 1 && ridge.map { $0 >= 0 && $0.isFinite } ?? true)
        self.rungs = rungs
        self.training = training
        // A zero has one text: equal recoveries are written alike.
        self.ridge = rungs.isEmpty ? nil : ridge.map { $0 == 0 ? 0 : $0 }
        self.rowsPerFeature = rungs.isEmpty ? Recovery.usualRowsPerFeature : rowsPerFeature
    }

    /// Nothing: the weights stay as they are.
    public static let none = Recovery([])

    /// Whether the weights stay as they are.
    public var isNone: Bool { rungs.isEmpty && training == nil }
    /// Whether linear layers are refitted, and given a bias where they have none.
    public var refitsLayers: Bool { rungs.contains(.leastSquares) || rungs.contains(.bias) }
    /// The same without the training.
    public var inClosedForm: Recovery { Recovery(rungs, ridge: ridge, rowsPerFeature: rowsPerFeature) }

    /// The same with a training of another length; `nil` where there is none.
    public func trained(steps: Int) -> Recovery? {
        training.map { with($0.changed(steps: steps)) }
    }

    /// The recoveries whose losses are averaged: one for each seed of the training.
    public var bySeed: [Recovery] {
        guard let training, training.repeats > 1 else { return [self] }
        return (0..<training.repeats).map {
            with(training.changed(repeats: 1, seed: training.seed &+ UInt64($0)))
        }
    }

    private func with(_ training: ShortTraining) -> Recovery {
        Recovery(rungs, ridge: ridge, rowsPerFeature: rowsPerFeature, training: training)
    }

    /// Reads the text form; `nil` for one that is not known.
    public init?(_ description: String) {
        self.init(words: description.split(separator: ",", omittingEmptySubsequences: false))
    }

    private init?(words: [Substring]) {
        if words == ["none"] {
            self = .none
            return
        }
        var rungs: Set<Rung> = []
        var ridge: Double?
        var rows: Int?
        var training: ShortTraining?
        for word in words {
            if let rung = Rung(rawValue: String(word)), rungs.insert(rung).inserted { continue }
            if word.hasPrefix("ridge="), ridge == nil, let number = Double(word.dropFirst(6)), number >= 0,
                number.isFinite
            {
                ridge = number
                continue
            }
            if word.hasPrefix("train="), training == nil, let own = ShortTraining(String(word.dropFirst(6))) {
                training = own
                continue
            }
            guard word.hasPrefix("rows="), rows == nil, let number = Int(word.dropFirst(5)), number >= 1
            else { return nil }
            rows = number
        }
        guard !rungs.isEmpty || training != nil else { return nil }
        self.init(
            rungs, ridge: ridge, rowsPerFeature: rows ?? Recovery.usualRowsPerFeature, training: training)
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        guard !isNone else { return "none" }
        let settings =
            (ridge.map { ["ridge=\($0)"] } ?? [])
            + (rowsPerFeature == Recovery.usualRowsPerFeature ? [] : ["rows=\(rowsPerFeature)"])
            + (training.map { ["train=\($0)"] } ?? [])
        return (Rung.allCases.filter(rungs.contains).map(\.rawValue) + settings).joined(separator: ",")
    }
}

/// A training of a few steps, by AdamW with a rate that is warmed up and falls along a cosine.
///
/// Written as its numbers with colons between: steps, rate, batch, micro-batch, the teacher's share, temperature, seed, and the
/// number of repeats where there are some, e.g. `50:0.001:64:16:0.5:2.0:0`.
public struct ShortTraining: Hashable, Sendable, LosslessStringConvertible {
    /// How many steps.
    public let steps: Int
    /// The largest learning rate.
    public let rate: Double
    /// Samples of a step.
    public let batch: Int
    /// Samples that are computed together.
    public let microBatch: Int
    /// The share of the loss that the unpruned model's outputs make up.
    public let distillation: Double
    /// What logits are divided by before they are compared.
    public let temperature: Double
    /// Decides the order of the samples.
    public let seed: UInt64
    /// How many trainings, with this seed and those after it, the mean of whose losses decides. The first one's weights stay.
    public let repeats: Int

    /// A short training.
    ///
    /// - Precondition: everything is positive, the share between 0 and 1.
    public init(
        steps: Int, rate: Double = 0.001, batch: Int = 64, microBatch: Int = 64, distillation: Double = 0.5,
        temperature: Double = 2, seed: UInt64 = 0, repeats: Int = 1
    ) {
        precondition(
            steps > 0 && rate > 0 && batch > 0 && microBatch > 0 && temperature > 0 && repeats > 0)
        (self.steps, self.rate, self.batch, self.microBatch) = (steps, rate, batch, microBatch)
        (self.distillation, self.temperature, self.seed) = (distillation, temperature, seed)
        self.repeats = repeats
    }

    /// The same with other steps, repeats or seed.
    func changed(steps: Int? = nil, repeats: Int? = nil, seed: UInt64? = nil) -> ShortTraining {
        ShortTraining(
            steps: steps ?? self.steps, rate: rate, batch: batch, microBatch: microBatch,
            distillation: distillation, temperature: temperature, seed: seed ?? self.seed,
            repeats: repeats ?? self.repeats)
    }

    /// Reads the text form; `nil` for another text.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (7...8).contains(parts.count), let steps = Int(parts[0]), let rate = Double(parts[1]),
            let batch = Int(parts[2]), let microBatch = Int(parts[3]), let share = Double(parts[4]),
            let temperature = Double(parts[5]), let seed = UInt64(parts[6]),
            let repeats = parts.count == 7 ? 1 : Int(parts[7]), repeats > 0, steps > 0, rate > 0,
            rate.isFinite, batch > 0, microBatch > 0, (0...1).contains(share), temperature > 0,
            temperature.isFinite
        else { return nil }
        self.init(
            steps: steps, rate: rate, batch: batch, microBatch: microBatch, distillation: share,
            temperature: temperature, seed: seed, repeats: repeats)
    }

    /// The text form, which the initialiser reads.
    public var description: String {
        "\(steps):\(rate):\(batch):\(microBatch):\(distillation):\(temperature):\(seed)"
            + (repeats > 1 ? ":\(repeats)" : "")
    }
}

extension Recovery: TextCodable {}
