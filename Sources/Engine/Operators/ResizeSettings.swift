internal import ComputationGraph
internal import ONNX
internal import Torch

/// What the attributes and arguments of a `Resize` or `Upsample` node say.
struct ResizeSettings {
    private enum Policy: String, CaseIterable {
        case stretch
        case notLarger = "not_larger"
        case notSmaller = "not_smaller"
    }

    /// The filter; `nil` where elements are copied.
    let filter: ResizeFilter?
    let rounding: ResizeAxis.Rounding
    let antialias: Bool
    let excludesOutside: Bool
    /// What stands outside the input with `tf_crop_and_resize`.
    let extrapolation: Double
    private let coordinates: ResizeAxis.Coordinates
    private let policy: Policy
    private let axes: [Int]?
    private let context: OperatorContext
    private let scales: ([Tensor?]) throws -> [Double]?
    private let sizes: IntegerReader
    private let region: ([Tensor?]) throws -> [Double]?

    init(_ context: OperatorContext) throws {
        self.context = context
        let node = context.node
        let isOld = context.vertex.operation == "Upsample" || context.version < 11
        let modeName = try node.string("mode", default: "nearest")
        // The first versions of Upsample said "bilinear" as well.
        let mode =
            isOld && modeName == "bilinear"
            ? .linear : try context.choice("mode", default: ResizeAxis.Mode.nearest)
        switch mode {
        case .nearest: filter = nil
        case .linear: filter = .linear
        case .cubic: filter = .cubic(Double(try node.float("cubic_coeff_a", default: -0.75)))
        }
        coordinates =
            isOld
            ? .asymmetric
            : try context.choice("coordinate_transformation_mode", default: ResizeAxis.Coordinates.halfPixel)
        rounding =
            isOld ? .simple : try context.choice("nearest_mode", default: ResizeAxis.Rounding.preferFloor)
        antialias = try context.flag("antialias")
        excludesOutside = try context.flag("exclude_outside")
        extrapolation = Double(try node.float("extrapolation_value", default: 0))
        policy = try context.choice("keep_aspect_ratio_policy", default: Policy.stretch)
        axes = try node.ints("axes", default: nil)
        if antialias && mode == .nearest { throw context.error("antialias with the mode 'nearest'") }
        if let fixed = try node.floats("scales", default: nil) {
            scales = { _ in fixed.map(Double.init) }
        } else {
            scales = try context.reals(in: isOld ? 1 : 2)
        }
        sizes = try isOld ? { _ in nil } : context.integers(in: 3)
        region = try isOld ? { _ in nil } : context.reals(in: 1)
    }

    /// The arguments of one run; empty tensors count as left out.
    func read(_ inputs: [Tensor?]) throws -> (scales: [Double]?, sizes: [Int]?, region: [Double]?) {
        let given = (try scales(inputs), try sizes(inputs), try region(inputs))
        return (
            given.0.flatMap { $0.isEmpty ? nil : $0 }, given.1.flatMap { $0.isEmpty ? nil : $0 },
            given.2.flatMap { $0.isEmpty || coordinates != .cropAndResize ? nil : $0 }
        )
    }

    /// One plan per dimension of an input of shape `shape`.
    func axes(of shape: [Int], scales: [Double]?, sizes: [Int]?, region: [Double]?) throws -> [ResizeAxis] {
        let resized =
            try axes.map { try $0.map { try context.axis($0, rank: shape.count) } } ?? Array(shape.indices)
        guard (scales?.count ?? resized.count) == resized.count,
            (sizes?.count ?? resized.count) == resized.count,
            (region?.count ?? 2 * resized.count) == 2 * resized.count
        else { throw context.error("scales, sizes or roi do not fit an input of shape \(shape)") }
        if coordinates == .cropAndResize && region == nil { throw context.error("input roi is missing") }
        if let region, !region.allSatisfy({ abs($0) < 1e6 }) {
            throw context.error("input roi is out of range")
        }
        if let sizes, !sizes.allSatisfy({ (0..<1 << 31).contains($0) }) {
            throw context.error("the sizes \(sizes) are out of range")
        }

        var outputs = shape
        var factors = shape.map { _ in 1.0 }
        if let sizes {
            let ratios = zip(sizes, resized).map { Double($0) / Double(max(shape[$1], 1)) }
            let common: Double? =
                switch policy {
                case .stretch: nil
                case .notLarger: ratios.min()
                case .notSmaller: ratios.max()
                }
            for (position, axis) in resized.enumerated() {
                factors[axis] = common ?? ratios[position]
                outputs[axis] =
                    common.map { Int(($0 * Double(shape[axis]) + 0.5).rounded(.down)) } ?? sizes[position]
            }
        } else if let scales {
            for (position, axis) in resized.enumerated() {
                guard scales[position] > 0, scales[position] * Double(shape[axis]) < 1e9 else {
                    throw context.error("the scale \(scales[position]) is out of range")
                }
                factors[axis] = scales[position]
                outputs[axis] = Int((scales[position] * Double(shape[axis])).rounded(.down))
            }
        } else {
            throw context.error("neither scales nor sizes are given")
        }
        guard outputs.allSatisfy({ (0..<1 << 31).contains($0) }),
            zip(shape, outputs).allSatisfy({ ($0 > 0 || $1 == 0) && ($0 == $1 || $0 * $1 < 1 << 31) })
        else {
            throw context.error("an input of shape \(shape) cannot become \(outputs)")
        }
        var plans = shape.indices.map {
            ResizeAxis(
                input: shape[$0], output: outputs[$0], scale: factors[$0], coordinates: coordinates,
                spansFraction: context.version >= 19)
        }
        if let region {
            for (position, axis) in resized.enumerated() {
                plans[axis].region = (Float(region[position]), Float(region[resized.count + position]))
            }
        }
        return plans
    }
}
