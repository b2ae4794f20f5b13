internal import Datasets
internal import Torch

/// The rows of a block that a layer is fitted on: places in the output, without its channels.
struct RowSelection {
    /// Indices of the rows, int64, those that the layer is fitted on first.
    let indices: Tensor
    /// How many of them it is fitted on; the others choose the ridge.
    let fitted: Int
    /// How much each row counts, float64 [rows, 1]; `nil` where all count alike.
    let weights: Tensor?
    /// The number of rows.
    var count: Int { indices.count }
}

/// Chooses rows by a hash of sample and position: the same ones whoever computes them, in whatever company.
struct RowChooser {
    private let data: FitData
    /// By sample, how much each position counts; empty where all count alike.
    private let positions: [[Float]]

    init(_ data: FitData) throws {
        self.data = data
        guard let name = data.positionWeights, let array = data.dataset.arrays[name] else {
            positions = []
            return
        }
        let all =
            try array.elementType.isFloatingPoint ? array.floats() : array.int64s().map { Float($0) }
        let width = array.rowElementCount
        positions = (0..<data.dataset.samples).map { Array(all[$0 * width..<($0 + 1) * width]) }
    }

    /// The rows of every block.
    ///
    /// - Parameters:
    ///   - rows: by block, how many rows a value has: all of its elements but the channels.
    ///   - wanted: how many rows are enough.
    func choose(rows: [Int], wanted: Int) throws -> [RowSelection] {
        let perSample = zip(rows, data.blocks).map { rows, block in
            rows % block.count == 0 ? rows / block.count : 0
        }
        // Where rows cannot be told apart by samples, a block counts as one.
        let isBySample = !perSample.contains(0)
        func weight(_ sample: Int, _ position: Int, of count: Int) -> Float {
            guard isBySample, !positions.isEmpty, count % positions[sample].count == 0 else { return 1 }
            return positions[sample][position % positions[sample].count]
        }
        var total = 0
        for (index, block) in data.blocks.enumerated() {
            guard isBySample, !positions.isEmpty else {
                total += rows[index]
                continue
            }
            for sample in block {
                total += (0..<perSample[index]).count { weight(sample, $0, of: perSample[index]) > 0 }
            }
        }
        let share = total <= wanted ? 1 : Double(wanted) / Double(total)
        let limit = share >= 1 ? UInt64.max : UInt64(share * 0x1p64)
        let splitsSamples = isBySample && data.dataset.samples >= 8
        return try data.blocks.enumerated().map { index, block in
            var (fitted, heldOut): ([Int], [Int]) = ([], [])
            var (fittedWeights, heldOutWeights): ([Double], [Double]) = ([], [])
            for row in 0..<rows[index] {
                let count = isBySample ? perSample[index] : rows[index]
                let sample = isBySample ? block[row / count] : block[0]
                let position = row % count
                let hash = FitHash.row(sample: sample, position: position)
                let weight = weight(sample, position, of: count)
                guard hash <= limit, weight > 0 else { continue }
                if splitsSamples ? FitHash.isHeldOut(sample) : hash % 4 == 0 {
                    heldOut.append(row)
                    heldOutWeights.append(Double(weight))
                } else {
                    fitted.append(row)
                    fittedWeights.append(Double(weight))
                }
            }
            let weights = fittedWeights + heldOutWeights
            return RowSelection(
                indices: try Tensor(fitted + heldOut), fitted: fitted.count,
                weights: weights.allSatisfy { $0 == 1 }
                    ? nil : try Tensor(weights, shape: [weights.count, 1]))
        }
    }
}
