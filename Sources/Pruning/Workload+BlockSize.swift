import ComputationGraph
import Datasets
import Engine
internal import Report

extension Workload {
    /// The block size: what the model was exported for, what was asked for, or what suits the model and fits the memory
    /// budget.
    ///
    /// The size is part of what is measured, for sums round block by block. So it follows from the model and the
    /// settings alone: timing the sizes here would make the last bits of a loss depend on how busy the machine was.
    static func blockSize(
        network: Network, dataset: Dataset, fixed: Int?, options: MeasurementOptions
    ) throws -> Int {
        if let fixed, let asked = options.blockSize, asked != fixed {
            throw InputError(
                "the model was exported for batches of exactly \(fixed), so --block-size must be \(fixed)")
        }
        let probe = fixed ?? 1
        let shapes = try probed(
            network, dataset, samples: min(probe, dataset.samples), budget: options.memoryBudget)
        func bytes(_ size: Int) -> Int {
            MemoryPlan.working(
                blockSize: size, weights: network.weightBytes,
                sampleActivations: shapes.activationBytes / probe)
        }
        var size: Int
        if let given = fixed ?? options.blockSize {
            size = given
        } else {
            let costs = CostModel(graph: network.graph, shapes: shapes.values, samples: probe)
            size = min(suitableBlock(flops: costs.cost(of: .empty).flops), dataset.samples)
            // What the machine has must not decide, or the last bits of a loss would depend on it.
            let limit =
                options.memory
                ?? MemoryPlan.working(blockSize: 0, weights: network.weightBytes, sampleActivations: 0)
                + MemoryPlan.usualActivations
            while size > 1 && bytes(size) > limit { size /= 2 }
        }
        guard bytes(size) <= options.memoryBudget else {
            throw InputError(
                "a block of \(size) samples takes about \(NumberText.bytes(bytes(size))), more than the budget of "
                    + "\(NumberText.bytes(options.memoryBudget)) (--memory, --block-size)")
        }
        return size
    }

    /// The shapes of the first samples' values.
    ///
    /// A block takes its weights and values twice (`MemoryPlan.working`), so more than half of the budget is not tried, nor what
    /// is out of proportion to weights and inputs: values that double from node to node would fill the machine's memory first.
    private static func probed(
        _ network: Network, _ dataset: Dataset, samples: Int, budget: Int
    ) throws -> Network.Shapes {
        let chosen = Array(0..<samples)
        let given = try network.graph.inputs.reduce(network.weightBytes) {
            try $0 + dataset.gather(chosen, from: $1.name).bytes.count
        }
        let largest = usualValues + mostTimesGiven * given
        do {
            return try network.shapes(
                for: dataset, samples: chosen,
                memory: max(min(budget / 2, largest), MemoryPlan.processBytes))
        } catch let error as EngineError where error.isOutOfMemory {
            let block = "a block of \(NumberText.counted(samples, "sample"))"
            throw InputError(
                largest < budget / 2
                    ? "the values of \(block) take more than \(NumberText.bytes(largest)), and its inputs and the weights "
                        + "\(NumberText.bytes(given)): that is more than a model may grow to: \(error)"
                    : "\(block) takes more than the budget of \(NumberText.bytes(budget)) (--memory): \(error)"
            )
        }
    }

    /// Bytes that the values of a block may take, beside so many times what weights and inputs take.
    private static let usualValues = 1 << 30
    private static let mostTimesGiven = 256

    /// The power of two whose block takes about 1.5 GFLOP, some ten milliseconds, within 8 and 64.
    ///
    /// Measured on a ResNet-20 (82 MFLOP a sample): blocks of 16 pass through it as fast as larger ones, since what
    /// layers hand on stays in the processor's cache, and the search needs 10 % fewer samples than with blocks of 64,
    /// since bounds act sooner. Smaller models need larger blocks, or calling operators takes longer than they compute.
    static func suitableBlock(flops: Int) -> Int {
        var size = MeasurementOptions.largestBlock
        while size > 8 && size * flops > 1_500_000_000 { size /= 2 }
        return size
    }
}
