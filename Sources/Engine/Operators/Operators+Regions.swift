internal import Foundation
internal import ONNX
internal import Torch

private let maximum = Operation("aten::maximum")

extension Operators {
    /// MaxRoiPool: X (N, C, H, W) and regions (R, 5), each an image index and x1, y1, x2, y2.
    /// Girshick, "Fast R-CNN", 2015, section 2.1.
    static func maxRoiPool(_ context: OperatorContext) throws -> Kernel {
        let pooled = try context.node.ints("pooled_shape")
        let scale = try context.node.float("spatial_scale", default: 1)
        guard scale.isFinite, abs(scale) < 1e6 else {
            throw context.error("attribute spatial_scale is \(scale)")
        }
        guard pooled.count == 2, pooled.allSatisfy({ (1...4096).contains($0) }) else {
            throw context.error("attribute pooled_shape is \(pooled); it must be two numbers from 1 to 4096")
        }
        return { inputs in
            let x = try context.required(inputs, 0)
            let regions = try regionRows(context.required(inputs, 1), width: 5, context)
            guard x.rank == 4 else {
                throw context.error("an input of shape \(x.shape); it must have 4 dimensions")
            }
            let nothing = try Tensor.filled(0, shape: [x.shape[1]])
            return [
                try pool(regions, shape: [x.shape[1]] + pooled) { region in
                    let image = try x.selecting(0, at: imageIndex(Int(region[0]), of: x, context))
                    let corners = region.dropFirst().map {
                        Int(($0 * scale).rounded(.toNearestOrAwayFromZero))
                    }
                    let rows = bins(from: corners[1], to: corners[3], count: pooled[0], limit: x.shape[2])
                    let columns = bins(from: corners[0], to: corners[2], count: pooled[1], limit: x.shape[3])
                    var cells: [Tensor] = []
                    for row in rows {
                        let band =
                            row.isEmpty
                            ? nil
                            : try image.narrowed(1, from: row.lowerBound, length: row.count).maxima(over: [1])
                        for column in columns {
                            guard let band, !column.isEmpty else {
                                cells.append(nothing)
                                continue
                            }
                            cells.append(
                                try band.narrowed(1, from: column.lowerBound, length: column.count).maxima(
                                    over: [1]))
                        }
                    }
                    return try Tensor.stacked(cells, along: 1).reshaped([x.shape[1]] + pooled)
                }
            ]
        }
    }

    /// The positions of `count` bins over the pixels `first...last`, cut to `0..<limit`.
    private static func bins(from first: Int, to last: Int, count: Int, limit: Int) -> [Range<Int>] {
        let size = Float(max(last - first + 1, 1)) / Float(count)
        return (0..<count).map { index in
            let low = min(max(Int((Float(index) * size).rounded(.down)) + first, 0), limit)
            let high = min(max(Int((Float(index + 1) * size).rounded(.up)) + first, 0), limit)
            return low..<max(low, high)
        }
    }

    /// RoiAlign: X (N, C, H, W), regions (R, 4) as x1, y1, x2, y2, and the image index of each.
    /// He et al., "Mask R-CNN", 2017, section 3.
    static func roiAlign(_ context: OperatorContext) throws -> Kernel {
        enum Mode: String, CaseIterable { case avg, max }
        enum Coordinates: String, CaseIterable {
            case halfPixel = "half_pixel"
            case outputHalfPixel = "output_half_pixel"
        }
        let node = context.node
        let mode = try context.choice("mode", default: Mode.avg)
        let halfPixel =
            try context.choice(
                "coordinate_transformation_mode",
                default: context.version >= 16 ? Coordinates.halfPixel : .outputHalfPixel) == .halfPixel
        let height = try node.int("output_height", default: 1)
        let width = try node.int("output_width", default: 1)
        let ratio = try node.int("sampling_ratio", default: 0)
        let scale = try node.float("spatial_scale", default: 1)
        guard (1...4096).contains(height), (1...4096).contains(width), (0...4096).contains(ratio),
            scale.isFinite
        else {
            throw context.error("output_height, output_width or sampling_ratio is out of range")
        }
        let indices = try context.integers(in: 2)
        return { inputs in
            let x = try context.required(inputs, 0)
            let regions = try regionRows(context.required(inputs, 1), width: 4, context)
            guard x.rank == 4, let images = try indices(inputs), images.count == regions.count else {
                throw context.error(
                    "regions and batch_indices differ in number, or the input has not 4 dimensions")
            }
            var next = images.makeIterator()
            return [
                try pool(regions, shape: [x.shape[1], height, width]) { region in
                    let image = try x.selecting(0, at: imageIndex(next.next() ?? 0, of: x, context))
                    let shift: Float = halfPixel ? 0.5 : 0
                    let corner = region.map { $0 * scale - shift }
                    guard corner.allSatisfy({ abs($0) < 1e6 }) else {
                        throw context.error("the region \(region) is out of range")
                    }
                    let least: Float = halfPixel ? -.infinity : 1
                    let rows = RegionAxis(
                        start: corner[1], length: max(corner[3] - corner[1], least), bins: height,
                        ratio: ratio,
                        size: x.shape[2])
                    let columns = RegionAxis(
                        start: corner[0], length: max(corner[2] - corner[0], least), bins: width,
                        ratio: ratio,
                        size: x.shape[3])
                    return mode == .avg
                        ? try rows.means().matrixProduct(image).matrixProduct(
                            columns.means().transposed(0, 1))
                        : try maxima(image, rows, columns)
                }
            ]
        }
    }

    /// The largest weighted corner of all samples in every bin (C, bins, bins), as ONNX defines mode `max`.
    private static func maxima(_ image: Tensor, _ rows: RegionAxis, _ columns: RegionAxis) throws -> Tensor {
        guard rows.samples > 0 && columns.samples > 0 else {
            return try Tensor.filled(0, shape: [image.shape[0], rows.bins, columns.bins])
        }
        var best: Tensor?
        for (rowIndex, rowWeight) in try rows.corners() {
            for (columnIndex, columnWeight) in try columns.corners() {
                let values = try image.gathering(1, rowIndex).gathering(2, columnIndex)
                let weighted =
                    try values * rowWeight.alongDimension(1, rank: 3)
                    * columnWeight.alongDimension(2, rank: 3)
                best = try best.map { try maximum(.tensor($0), .tensor(weighted)) } ?? weighted
            }
        }
        return try best!.reshaped([image.shape[0], rows.bins, rows.samples, columns.bins, columns.samples])
            .maxima(over: [2, 4])
    }

    private static func pool(
        _ regions: [[Float]], shape: [Int], _ one: ([Float]) throws -> Tensor
    ) throws -> Tensor {
        if regions.isEmpty { return try Tensor.filled(0, shape: [0] + shape) }
        return try Tensor.stacked(regions.map(one), along: 0)
    }

    private static func regionRows(_ regions: Tensor, width: Int, _ context: OperatorContext) throws
        -> [[Float]]
    {
        guard regions.rank == 2, regions.shape[1] == width else {
            throw context.error("regions of shape \(regions.shape); \(width) numbers each are needed")
        }
        let flat = try regions.elements(as: Float.self)
        guard flat.allSatisfy({ abs($0) < 1e9 }) else { throw context.error("a region is out of range") }
        return (0..<regions.shape[0]).map { Array(flat[$0 * width..<($0 + 1) * width]) }
    }

    private static func imageIndex(_ index: Int, of x: Tensor, _ context: OperatorContext) throws -> Int {
        guard (0..<x.shape[0]).contains(index) else {
            throw context.error("a region lies in image \(index) of a batch of \(x.shape[0])")
        }
        return index
    }
}

/// The samples of a region along one axis: bilinear weights are a product of one weight per axis.
private struct RegionAxis {
    let bins: Int
    /// Samples per bin.
    let samples: Int
    private let size: Int
    /// For every sample the two pixels beside it and their weights; both 0 outside the image.
    private let points: [(low: Int, high: Int, lowWeight: Float, highWeight: Float)]

    init(start: Float, length: Float, bins: Int, ratio: Int, size: Int) {
        self.bins = bins
        self.size = size
        let bin = length / Float(bins)
        let count = ratio > 0 ? ratio : max(0, Int(bin.rounded(.up)))
        samples = count
        points = (0..<bins * count).map { index in
            let position =
                start + Float(index / count) * bin + (Float(index % count) + 0.5) * bin / Float(count)
            guard position >= -1 && position <= Float(size) && size > 0 else { return (0, 0, 0, 0) }
            let inside = max(position, 0)
            let low = Int(inside)
            guard low < size - 1 else { return (size - 1, size - 1, 1, 0) }
            return (low, low + 1, 1 - (inside - Float(low)), inside - Float(low))
        }
    }

    /// The mean over the samples of every bin as a matrix (bins, size).
    func means() throws(TorchError) -> Tensor {
        var weights = [Float](repeating: 0, count: bins * size)
        for (index, point) in points.enumerated() {
            let row = index / samples * size
            weights[row + point.low] += point.lowWeight / Float(samples)
            weights[row + point.high] += point.highWeight / Float(samples)
        }
        return try Tensor(weights, shape: [bins, size])
    }

    /// For the lower and the higher pixel of all samples: its index and its weight.
    func corners() throws(TorchError) -> [(Tensor, Tensor)] {
        [
            (try Tensor(points.map(\.low)), try Tensor(points.map(\.lowWeight))),
            (try Tensor(points.map(\.high)), try Tensor(points.map(\.highWeight))),
        ]
    }
}
