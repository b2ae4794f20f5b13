internal import Datasets
internal import Torch

/// How an output's classes lie: in the last dimension of [N, C] and [N, T, V], and in the second of images [N, C, H, W],
/// unless the model says otherwise.
struct ClassLayout {
    let classes: Int
    /// The output with the classes second, and contiguous where the model has them last: [N·T, C, 1] or
    /// [N, C, places].
    let output: Tensor

    /// The usual dimension of an output's classes.
    static func dimension(rank: Int) -> Int { rank >= 4 ? 1 : max(0, rank - 1) }

    /// - Parameters:
    ///   - dimension: that of the classes.
    ///   - positions: labels per sample, which need a prediction each.
    /// - Throws: `EngineError` when the output has no classes, or another number of predictions.
    init(of output: Tensor, dimension: Int, positions: Int) throws {
        try output.requireDimension(of: "classes", for: "cross-entropy")
        let samples = output.shape[0]
        classes = output.shape[dimension]
        let places = output.count / max(samples * classes, 1)
        guard places == positions else {
            throw EngineError.data(
                "the output has shape \(output.shape): \(places) predictions per sample for \(positions) labels"
            )
        }
        if dimension == output.rank - 1 {
            self.output = try output.reshaped([samples * places, classes, 1])
        } else if dimension == 1 {
            self.output = try output.reshaped([samples, classes, places])
        } else {
            self.output = try output.transposed(dimension, output.rank - 1)
                .reshaped([samples * places, classes, 1])
        }
    }
}

/// The labels of a block as tensors: made once, for all masks that the block is measured under.
struct LabelBlock {
    private let block: Labels.Block
    /// The class of every place, [N · positions].
    private let classes: Tensor
    /// The places that count; `nil` for all.
    private let counted: Tensor?
    /// The sample of every place that counts.
    private let owners: Tensor
    /// 0 for every sample, and the number of its places that count, but 1 where none does.
    private let (zeros, counts): (Tensor, Tensor)

    var positions: Int { block.positions }

    init(_ block: Labels.Block) throws {
        self.block = block
        classes = try Tensor(block.classes)
        let isWhole = block.counted.count == block.classes.count
        counted = try isWhole ? nil : Tensor(block.counted)
        var numbers = [Float](repeating: 0, count: block.samples)
        owners = try Tensor(block.counted.map { $0 / block.positions })
        for place in block.counted { numbers[place / block.positions] += 1 }
        zeros = try Tensor([Float](repeating: 0, count: block.samples))
        counts = try Tensor(numbers.map { max($0, 1) })
    }

    /// The class of every place as the target of an output.
    ///
    /// - Throws: `EngineError` for a label that is none of the output's classes.
    func target(for layout: ClassLayout) throws -> Tensor {
        if let stray = block.stray(amongClasses: layout.classes) {
            throw EngineError.data("the label \(stray) is outside the model's \(layout.classes) classes")
        }
        return try classes.reshaped([layout.output.shape[0], 1, layout.output.shape[2]])
    }

    /// The mean of every sample over its places that count, [N]; 0 for a sample without any.
    ///
    /// Places are added in order: this is the sum that the search has always made, so its last bit matters.
    ///
    /// - Parameter losses: one for every place.
    func mean(_ losses: Tensor) throws -> Tensor {
        let places = try losses.reshaped([block.classes.count])
        let summands = try counted.map { try places.gathering(0, $0) } ?? places
        let sums = try addAtIndices(
            .tensor(zeros.converted(to: losses.scalarType)), 0, .tensor(owners), .tensor(summands))
        return try sums / counts.converted(to: losses.scalarType)
    }

    /// The right predictions of every sample: the class with the largest number at each place.
    func correct(_ layout: ClassLayout) throws -> [UInt32] {
        block.correct(try argmax(.tensor(layout.output), 1).elements())
    }
}

private let addAtIndices = Operation("aten::index_add")
private let argmax = Operation("aten::argmax")
