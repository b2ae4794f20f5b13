internal import ComputationGraph
internal import Datasets
internal import ONNX
internal import Torch

/// The unpruned model's outputs on a few samples, at once and one by one: where samples lie in them, and whether each
/// depends on its own alone.
struct OutputProbe {
    /// One output, in the order of the graph's.
    struct Output {
        /// The few samples at once.
        let tensor: Tensor
        /// The samples' dimension; `nil` where no dimension grows with them.
        let sampleAxis: Int?
        /// How much a sample's numbers differ from those that it has alone, relative to the largest number; `nil` where
        /// that cannot be told.
        let mixing: Double?
    }

    let samples: [Int]
    let outputs: [Output]

    /// The most samples at once.
    private static let most = 8

    /// - Parameters:
    ///   - block: samples that are computed at once; the first few are tried.
    ///   - axes: where the user says that outputs have their samples.
    /// - Throws: `EngineError` when the model does not run on the data.
    init(_ network: Network, dataset: Dataset, block: [Int], axes: [String: Int]) throws {
        let graph = network.graph
        let fixed = graph.fixedSamples(dataset)
        let samples = fixed == nil ? Array(block.prefix(OutputProbe.most)) : block
        let count = samples.count
        let whole = try network.outputs(of: network.inputs(samples, of: dataset), mask: .empty)
        // Alone, or where the model wants its number, in company of itself.
        let places = Array(Set([0, count / 2, count - 1])).sorted()
        func repeated(_ times: Int) throws -> [[Tensor]] {
            try places.map { place in
                let sample = [Int](repeating: samples[place], count: times)
                return try network.outputs(of: network.inputs(sample, of: dataset), mask: .empty)
            }
        }
        var times = fixed ?? (count == 1 ? 2 : 1)
        var alone: [[Tensor]]
        do { alone = try repeated(times) } catch let error as EngineError {
            // Some models take no single sample.
            guard fixed == nil, count > 1 else { throw error }
            times = count + 1
            alone = try repeated(times)
        }
        // A Squeeze of all dimensions of size 1 takes away that of a single sample.
        if fixed == nil, count > 1, zip(whole, alone[0]).contains(where: { $0.rank != $1.rank }) {
            times = count + 1
            alone = try repeated(times)
        }
        let symbols = Set(
            graph.inputs.compactMap { port in
                let axis = dataset.inputAxes[port.name] ?? 0
                return port.symbols.indices.contains(axis) ? port.symbols[axis] : nil
            })
        self.samples = samples
        outputs = graph.outputs.indices.map { index in
            let port = graph.outputs[index]
            let declared = port.symbols.firstIndex { $0.map(symbols.contains) ?? false }
            let axis =
                axes[port.name]
                ?? OutputProbe.axis(
                    whole[index].shape, count, alone[0][index].shape, times, isFixed: fixed != nil, declared)
            let mixing = axis.flatMap { axis in
                count == 1
                    ? nil : try? OutputProbe.mixing(whole[index], places, alone.map { $0[index] }, axis)
            }
            return Output(tensor: whole[index], sampleAxis: axis, mixing: mixing)
        }
    }

    /// The dimension that grows with the number of samples, by itself; the declared one, or the first, where the number
    /// is fixed.
    private static func axis(
        _ whole: [Int], _ count: Int, _ alone: [Int], _ times: Int, isFixed: Bool, _ declared: Int?
    ) -> Int? {
        let matching = whole.indices.filter { whole[$0] == count }
        if isFixed { return declared.flatMap { matching.contains($0) ? $0 : nil } ?? matching.first }
        guard whole.count == alone.count else { return nil }
        let growing = matching.filter { alone[$0] == times }
        return growing.first { $0 == declared } ?? growing.first
    }

    /// The largest difference of a sample's numbers alone and among others, relative to the largest number.
    private static func mixing(_ whole: Tensor, _ places: [Int], _ alone: [Tensor], _ axis: Int) throws
        -> Double?
    {
        guard whole.scalarType.isFloatingPoint else { return nil }
        let all: [Double] = try whole.elements(as: Double.self)
        let largest = all.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
        guard largest > 0 else { return 0 }
        var worst = 0.0
        for (place, single) in zip(places, alone) {
            guard single.rank == whole.rank, single.shape[axis] > 0 else { return nil }
            let left: [Double] = try whole.selecting(axis, at: place).elements(as: Double.self)
            let right: [Double] = try single.selecting(axis, at: min(place, single.shape[axis] - 1))
                .elements(as: Double.self)
            // A length that follows from the samples in the block is no number to compare.
            guard left.count == right.count else { return .infinity }
            for (one, other) in zip(left, right) where one != other && !(one.isNaN && other.isNaN) {
                let difference = (one - other).magnitude
                worst = max(worst, difference.isNaN ? .infinity : difference / largest)
            }
        }
        return worst
    }

    /// What rounding explains: as the narrowest type of the model rounds.
    static func tolerance(_ graph: Graph) -> Double {
        let quantised: Set<String> = [
            "QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul",
            "QLinearConv",
        ]
        if graph.vertices.contains(where: { quantised.contains($0.operation) }) { return 0.1 }
        let isNarrow = graph.values.contains { $0.elementType == .float16 || $0.elementType == .bfloat16 }
        return isNarrow ? 0.02 : 1e-3
    }
}
