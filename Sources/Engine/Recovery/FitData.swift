public import ComputationGraph
public import Datasets
internal import ONNX
internal import Training

/// The samples that layers are fitted on, without any look at their labels, and that short trainings learn from.
public struct FitData: Sendable {
    /// The samples: model inputs, and what a loss compares with where there is a training.
    public let dataset: Dataset
    /// The input that says how much each position counts, [N, T]; `nil` where all count alike.
    public let positionWeights: String?
    /// The samples that layers are fitted on, in the order of computation, as many at a time as are computed together.
    let blocks: [[Int]]

    /// As many samples fit any model well: beyond them held-out losses change by less than their noise.
    public static let usualSamples = 512
    /// The most samples that are computed together.
    private static let largestBlock = 64

    /// - Parameter fixed: the number of samples that the model was exported for; `nil` for any.
    public init(_ dataset: Dataset, fixed: Int? = nil) {
        self.dataset = dataset
        positionWeights = FitData.mask(in: dataset)
        let size = fixed ?? FitData.largestBlock
        // With what a loss compares with there are more: a training learns from all of them.
        let isTrainedOn = dataset.arrays.count > dataset.inputNames.count
        let fitted = isTrainedOn ? min(dataset.samples, FitData.usualSamples) : dataset.samples
        blocks = stride(from: 0, to: fitted, by: size).map { Array($0..<min($0 + size, fitted)) }
    }

    /// The input that is an attention mask: an array [N, T] of zeros and ones that is named like a mask, and not like one of
    /// padding, which would mean the opposite.
    private static func mask(in dataset: Dataset) -> String? {
        dataset.inputNames.first { name in
            let lower = name.lowercased()
            guard lower.contains("mask"), !lower.contains("pad"), dataset.inputAxes[name] != -1,
                let array = dataset.arrays[name], array.shape.count == 2
            else { return false }
            let values =
                array.elementType.isFloatingPoint
                ? try? array.floats() : try? array.int64s().map { Float($0) }
            return values?.allSatisfy { $0 == 0 || $0 == 1 } ?? false
        }
    }
}

extension FitData {
    /// The model inputs of samples, as they are sent to whoever fits.
    ///
    /// - Parameter withAnswers: whether what a loss compares with goes along.
    /// - Throws: `DatasetError` for samples that there are not.
    public static func encode(_ samples: [Int], of dataset: Dataset, withAnswers: Bool = false) throws
        -> [UInt8]
    {
        let others = withAnswers ? Set(dataset.arrays.keys).subtracting(dataset.inputNames).sorted() : []
        return try NumpyArchive.encode(
            (dataset.inputNames + others).map { ($0, try dataset.gather(samples, from: $0)) })
    }

    /// Reads what `encode` wrote.
    ///
    /// - Parameters:
    ///   - axes: where inputs have their samples, if not first; −1 for one that all samples share.
    /// - Throws: `DatasetError` for bytes that are none.
    public init(encoded bytes: [UInt8], for graph: Graph, axes: [String: Int]) throws {
        let inputs = try graph.inputs.map { port in
            let axis = axes[port.name] ?? 0
            return try InputSpecification(
                name: port.name, elementTypeName: port.elementType.name, shape: nil,
                sampleAxis: axis < 0 ? nil : axis)
        }
        let dataset = try Dataset(NumpyArchive(bytes: bytes, path: "the fit data"), inputs: inputs)
        self.init(dataset, fixed: graph.fixedSamples(dataset))
    }
}

/// Hashes that draw rows and samples: functions of what they name alone.
public enum FitHash {
    /// Some of the numbers 0 ..< `count`, ascending: the same ones whenever they are drawn.
    public static func drawn(_ wanted: Int, of count: Int) -> [Int] {
        let order = (0..<count).map { (hash: HashedNumber.mixed(UInt64($0) ^ 0x6669_74), number: $0) }.sorted
        {
            ($0.hash, $0.number) < ($1.hash, $1.number)
        }
        return order.prefix(wanted).map(\.number).sorted()
    }

    /// A position of a sample.
    static func row(sample: Int, position: Int) -> UInt64 {
        HashedNumber.mixed(HashedNumber.mixed(UInt64(sample)) ^ UInt64(position))
    }

    /// Whether a sample is held out of the fit, to choose the ridge by: one of four.
    static func isHeldOut(_ number: Int) -> Bool { HashedNumber.mixed(UInt64(number) ^ 0x68656C64) % 4 == 0 }
}
