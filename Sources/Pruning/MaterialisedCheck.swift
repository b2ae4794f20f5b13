internal import ComputationGraph
internal import Datasets
internal import Engine
internal import ONNX
internal import Search

/// What a written model has to give: the masked model's outputs, on the data and at other sizes.
struct MaterialisedCheck {
    /// Inputs and the masked model's outputs on them.
    private struct Sample {
        let inputs: [String: NumpyArray]
        let outputs: [(name: String, array: NumpyArray)]
        /// Whether the sizes are others than the data's.
        let isOtherSize: Bool
    }

    private let network: Network
    private let samples: [Sample]
    private let tolerance: Float

    /// Runs the masked model.
    ///
    /// - Throws: `NonFiniteError` when its outputs are not finite where the unpruned model's are.
    init(_ mask: Mask, workload: Workload, knowledge: Network.SizeKnowledge) throws {
        let (network, dataset) = (workload.network, workload.dataset)
        let block = Array(workload.division.sharding.naturalBlocks(of: 0)[0])
        var inputs: [String: NumpyArray] = [:]
        for name in dataset.inputNames { inputs[name] = try dataset.gather(block, from: name) }
        let means = try workload.meanArrays
        let masked = try network.run(inputs, mask: mask, means: means)
        if masked.contains(where: { $0.1.firstNonFiniteIndex() != nil }) {
            let unpruned = try network.run(inputs)
            for ((name, left), (_, right)) in zip(unpruned, masked) {
                if left.firstNonFiniteIndex() == nil, right.firstNonFiniteIndex() != nil {
                    throw NonFiniteError(subject: "the output '\(name)'")
                }
            }
        }
        var samples = [Sample(inputs: inputs, outputs: masked, isOtherSize: false)]
        let names = workload.graph.inputs.map(\.name)
        for trial in try network.sizeTrials(for: dataset) {
            for shapes in trial {
                let resized = zip(knowledge.arrays, shapes).map { $0.resized(to: $1) }
                let inputs = Dictionary(uniqueKeysWithValues: zip(names, resized))
                // At a size that the model does not take there is nothing to compare with.
                let outputs = try? network.run(inputs, mask: mask, means: means, keepsProgram: false)
                guard let outputs else { continue }
                network.releaseFreeMemory()
                samples.append(Sample(inputs: inputs, outputs: outputs, isOtherSize: true))
                break
            }
        }
        self.network = network
        self.samples = samples
        tolerance = Self.tolerance(of: workload.graph)
    }

    /// Compares a written model.
    ///
    /// - Throws: `MaterialisingError` when it computes something else; `NonFiniteError` where the masked model's outputs are
    ///   not finite and its are others.
    func callAsFunction(_ file: ModelFile) throws {
        let pruned = try Network(Graph(file), fuses: false)
        for sample in samples {
            let given: [(String, NumpyArray)]
            do { given = try pruned.runOnce(sample.inputs) } catch {
                throw MaterialisingError(
                    reason: "does not run on inputs of shapes \(shapes(sample)): \(error)",
                    isAtOtherSizes: sample.isOtherSize)
            }
            pruned.releaseFreeMemory()
            for ((name, wanted), (_, array)) in zip(sample.outputs, given) {
                guard wanted.shape == array.shape else {
                    throw MaterialisingError(
                        reason:
                            "gives output '\(name)' of shape \(array.shape), not \(wanted.shape), for inputs of "
                            + "shapes \(shapes(sample))",
                        isAtOtherSizes: sample.isOtherSize)
                }
                guard wanted.elementType.isFloatingPoint else { continue }
                let (left, right) = (try wanted.floats(), try array.floats())
                if Self.isDecidedByNonFinite(left, right) {
                    let isUnprunedFinite = try isUnprunedFinite(sample)
                    if !isUnprunedFinite || wanted.firstNonFiniteIndex() != nil {
                        throw NonFiniteError(
                            subject: "the output '\(name)'", isUnprunedFinite: isUnprunedFinite)
                    }
                }
                let largest = left.reduce(0) { max($0, $1.isFinite ? $1.magnitude : 0) }
                let worst = Self.difference(left, right)
                guard worst <= tolerance * largest + Self.noise else {
                    throw MaterialisingError(
                        reason:
                            "gives an output '\(name)' that differs from the masked model's by \(worst) (largest "
                            + "value \(largest), tolerance \(tolerance) of it) for inputs of shapes \(shapes(sample))",
                        isAtOtherSizes: sample.isOtherSize)
                }
            }
        }
    }

    /// Whether outputs differ where one of them is infinite or NaN. Where the model computes with such numbers that is no
    /// defect: zero times NaN is NaN, and nothing is left of the product in a pruned model; a divisor that is zero may get the
    /// other sign.
    private static func isDecidedByNonFinite(_ left: [Float], _ right: [Float]) -> Bool {
        zip(left, right).contains {
            !($0.isFinite && $1.isFinite) && $0 != $1 && !($0.isNaN && $1.isNaN)
        }
    }

    private func isUnprunedFinite(_ sample: Sample) throws -> Bool {
        try network.run(sample.inputs, keepsProgram: !sample.isOtherSize)
            .allSatisfy { $0.1.firstNonFiniteIndex() == nil }
    }

    private func shapes(_ sample: Sample) -> String {
        sample.inputs.keys.sorted().map { "\($0) \(sample.inputs[$0]?.shape ?? [])" }.joined(separator: ", ")
    }

    /// The largest difference of corresponding elements; infinite where one is NaN or infinite and the other is not so.
    private static func difference(_ left: [Float], _ right: [Float]) -> Float {
        zip(left, right).reduce(0) { worst, pair in
            if pair.0 == pair.1 || pair.0.isNaN && pair.1.isNaN { return worst }
            let difference = (pair.0 - pair.1).magnitude
            return difference.isFinite ? max(worst, difference) : .infinity
        }
    }

    /// What rounding leaves of numbers near 1 that cancel, as where a sigmoid is nearly zero: two units in the last place.
    private static let noise: Float = 0x1p-22

    /// How far outputs may differ, as a share of the largest: 1e-4 in single precision.
    ///
    /// The engine computes in single precision whatever the types are, but the file's constants are rounded to the model's
    /// own, and so are outputs. Each rounding errs by half a unit in the last place u (2⁻¹¹ for float16, 2⁻⁸ for bfloat16),
    /// independently of the others: over d layers by about u · √d, and four times that is allowed.
    private static func tolerance(of graph: Graph) -> Float {
        var unit: Float = 0
        for value in graph.values {
            switch value.elementType {
            case .float16: unit = max(unit, 0x1p-11)
            case .bfloat16: unit = max(unit, 0x1p-8)
            default: break
            }
        }
        return max(1e-4, 4 * unit * Float(max(1, depth(of: graph))).squareRoot())
    }

    /// The most layers with weights that one after the other lead from an input to an output.
    private static func depth(of graph: Graph) -> Int {
        var depth = [Int](repeating: 0, count: graph.values.count)
        for index in graph.order {
            let vertex = graph.vertices[index]
            let reads = vertex.inputs.compactMap { $0 }
            let isWeighted = reads.contains {
                graph.values[$0].constant?.elementType.isFloatingPoint ?? false
            }
            let most = (reads.map { depth[$0] }.max() ?? 0) + (isWeighted ? 1 : 0)
            for case let output? in vertex.outputs { depth[output] = most }
        }
        return graph.outputs.map { depth[$0.value] }.max() ?? 0
    }
}

/// The pruned model does not compute what the masked one does: a defect of Espalier.
struct MaterialisingError: Error, CustomStringConvertible {
    let reason: String
    /// Whether it agrees at the data's own sizes.
    let isAtOtherSizes: Bool
    var description: String {
        "the pruned model \(reason); the model was not written. This is a defect: please report it with the model"
    }
}

/// Outputs that are no numbers, with which a pruned model cannot be compared.
public struct NonFiniteError: Error, CustomStringConvertible {
    /// What is not finite.
    let subject: String
    /// Whether the unpruned model's is.
    var isUnprunedFinite = true
    /// One sentence.
    public var description: String {
        isUnprunedFinite
            ? "without these edges \(subject) is not finite on some samples (a division by zero, mostly), where the unpruned "
                + "model's is: the model was not written; leave one of the edges in"
            : "\(subject) is infinite or NaN on some samples, without these edges and with them: what a pruned model "
                + "computes there cannot be checked, and it was not written"
    }
}
