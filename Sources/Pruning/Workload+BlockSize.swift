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
        let shapes = try network.shapes(for: dataset, samples: Array(0..<min(probe, dataset.samples)))
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
