public import Variants
public import Work

/// What gradients are of: a mask of the model, which of its weights are trained, and what is minimised.
public struct TrainingSubject: Hashable, Sendable {
    /// What is removed.
    public let mask: Mask
    /// The values of the model that are trained, ascending.
    public let values: [Int]
    /// How many elements they have together.
    public let elements: Int
    /// The vertices of layers that normalise by the batch, ascending: their scales where the file has none, and their running
    /// statistics, are the last of the elements.
    public let batchNorms: [Int]
    /// What is minimised.
    public let objective: TrainingObjective
    /// What removed slots read that are replaced by means; `nil` for zeros alone.
    public let means: ContentID?
    /// The model file of another teacher; `nil` where the unpruned model itself teaches.
    public let teacher: ContentID?

    /// A subject.
    public init(
        mask: Mask, values: [Int], elements: Int, batchNorms: [Int] = [], objective: TrainingObjective,
        means: ContentID? = nil, teacher: ContentID? = nil
    ) {
        (self.mask, self.values, self.elements) = (mask, values, elements)
        self.batchNorms = batchNorms
        (self.objective, self.means, self.teacher) = (objective, means, teacher)
    }
}

/// The gradient over a few micro-batches of a step: those below one node of the step's tree.
///
/// The payload is a version, the mask's text, the values, the number of all elements, the vertices of batch normalisations, the
/// objective (distillation and
/// temperature as float64, flips, shift, and the two halves of the seed), sizes and hashes of means, teacher and weights, the
/// step, the place of the first micro-batch, and the shard and the samples of each. The result is a `GradientSum`.
public struct GradientItem: Hashable, Sendable {
    /// The kind of the work.
    public static let kind = WorkKind("gradient")
    private static let version: UInt8 = 2

    /// What the gradient is of.
    public let subject: TrainingSubject
    /// The weights.
    public let weights: ContentID
    /// The step, counted from 0.
    public let step: Int
    /// The place of the first micro-batch in the step.
    public let place: Int
    /// The samples, all of one shard.
    public let microBatches: [SampleOrder.MicroBatch]

    /// The gradient over at least one micro-batch.
    public init(
        _ subject: TrainingSubject, weights: ContentID, step: Int, place: Int,
        microBatches: [SampleOrder.MicroBatch]
    ) {
        (self.subject, self.weights, self.step) = (subject, weights, step)
        (self.place, self.microBatches) = (place, microBatches)
    }

    /// The shard of the samples.
    public var shard: Int { microBatches[0].shard }

    /// What whoever computes it needs besides model and data.
    var contents: [ContentID] { [weights, subject.means, subject.teacher].compactMap { $0 } }

    /// The canonical bytes.
    public var payload: [UInt8] {
        var writer = ByteWriter()
        writer.write(GradientItem.version)
        writer.write(subject.mask.description)
        writer.write(subject.values)
        writer.write(subject.elements)
        writer.write(subject.batchNorms)
        let objective = subject.objective
        writer.write(raw: [objective.distillation, objective.temperature])
        writer.write(UInt8(objective.flips ? 1 : 0))
        writer.write(objective.shift)
        writer.write(Int(objective.seed >> 32))
        writer.write(Int(objective.seed & 0xFFFF_FFFF))
        for content in [subject.means, subject.teacher, weights] { writer.write(content) }
        writer.write(step)
        writer.write(place)
        writer.write(shard)
        writer.write(microBatches.count)
        for part in microBatches { writer.write(part.samples) }
        return writer.bytes
    }

    /// Reads a payload.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(payload: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(payload)
        guard try reader.byte() == GradientItem.version else { throw WorkMismatch("is of another version") }
        guard let mask = Mask(try reader.text()) else { throw WorkMismatch("names a mask that is none") }
        let values = try reader.numbers()
        let elements = try reader.number()
        let batchNorms = try reader.numbers()
        let numbers = try reader.doubles(2)
        let flips = try reader.byte() == 1
        let shift = try reader.number()
        let seed = UInt64(try reader.number()) << 32 | UInt64(try reader.number())
        guard numbers.allSatisfy(\.isFinite), (0...1).contains(numbers[0]), numbers[1] > 0 else {
            throw WorkMismatch("has an objective that makes no sense")
        }
        let objective = TrainingObjective(
            distillation: numbers[0], temperature: numbers[1], flips: flips, shift: shift, seed: seed)
        let (means, teacher) = (try reader.content(), try reader.content())
        guard let weights = try reader.content() else { throw WorkMismatch("names no weights") }
        let step = try reader.number()
        let place = try reader.number()
        let shard = try reader.number()
        var parts: [SampleOrder.MicroBatch] = []
        for _ in 0..<(try reader.number()) {
            parts.append(SampleOrder.MicroBatch(shard: shard, samples: try reader.numbers()))
        }
        guard !parts.isEmpty, !parts.contains(where: \.samples.isEmpty), !values.isEmpty else {
            throw WorkMismatch("is about nothing")
        }
        try reader.finish()
        self.init(
            TrainingSubject(
                mask: mask, values: values, elements: elements, batchNorms: batchNorms, objective: objective,
                means: means, teacher: teacher),
            weights: weights, step: step, place: place, microBatches: parts)
    }
}
