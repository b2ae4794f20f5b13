internal import ONNX
internal import Torch

private let batchNorm = Operation("aten::batch_norm")
private let instanceNorm = Operation("aten::instance_norm")
private let groupNorm = Operation("aten::group_norm")
private let variance = Operation("aten::var.dim")

extension Operators {
    /// Normalization by statistics of the data or of the training.
    nonisolated(unsafe) static let normalization = OperatorFamily(
        [
            "BatchNormalization": batchNormalization,
            "InstanceNormalization": instanceNormalization,
            "GroupNormalization": groupNormalization,
            "LayerNormalization": layerNormalization,
            "RMSNormalization": rmsNormalization,
            "LpNormalization": lpNormalization,
            "LRN": localResponseNormalization,
            "MeanVarianceNormalization": meanVarianceNormalization,
        ],
        traits: [
            "InstanceNormalization": .init(since: 6),
            "LRN": .init(since: 1),
        ],
        operands: [
            .reals: [
                "BatchNormalization", "GroupNormalization", "InstanceNormalization", "LRN",
                "LayerNormalization", "LpNormalization", "MeanVarianceNormalization",
                "RMSNormalization",
            ]
        ])

    /// BatchNormalization: X (N, C, …), scale, bias, mean and variance (C).
    /// Ioffe and Szegedy, "Batch Normalization", 2015, algorithms 1 and 2.
    private static func batchNormalization(_ context: OperatorContext) throws -> Kernel {
        let epsilon = Double(try context.node.float("epsilon", default: 1e-5))
        let momentum = Double(try context.node.float("momentum", default: 0.9))
        let training = try context.version >= 14 && context.flag("training_mode")
        if try context.node.int("spatial", default: 1) != 1 { throw context.unsupported("with spatial = 0") }
        let wantsStatistics = context.wants(output: 1) || context.wants(output: 2)
        if wantsStatistics && !training {
            throw context.unsupported("with statistics as outputs, but no training_mode")
        }
        return { inputs in
            let x = try context.required(inputs, 0)
            let (scale, bias) = (try context.required(inputs, 1), try context.required(inputs, 2))
            let (mean, spread) = (try context.required(inputs, 3), try context.required(inputs, 4))
            guard x.rank >= 1 else { throw context.error("an input without dimensions") }
            // A lone dimension is the batch, with one channel.
            let image = x.rank == 1 ? try x.unsqueezed(1) : x
            let normalized = try batchNorm(
                .tensor(image), .tensor(scale), .tensor(bias), training ? .none : .tensor(mean),
                training ? .none : .tensor(spread), .bool(training), 0.0, .double(epsilon), false)
            let y = x.rank == 1 ? try normalized.squeezed(1) : normalized
            guard training, wantsStatistics else { return [y, nil, nil] }
            let others = (0..<image.rank).filter { $0 != 1 }
            let newMean = try image.averaged(over: others)
            let newSpread = try variance(.tensor(image), .ints(others), false)
            return [
                y, try mean * momentum + newMean * (1 - momentum),
                try spread * momentum + newSpread * (1 - momentum),
            ]
        }
    }

    /// InstanceNormalization: X (N, C, D1…), scale and bias (C).
    private static func instanceNormalization(_ context: OperatorContext) throws -> Kernel {
        let epsilon = Double(try context.node.float("epsilon", default: 1e-5))
        return { inputs in
            let x = try context.required(inputs, 0)
            return [
                try instanceNorm(
                    .tensor(x), .tensor(context.required(inputs, 1)), .tensor(context.required(inputs, 2)),
                    .none, .none,
                    true, 0.0, .double(epsilon), false)
            ]
        }
    }

    /// GroupNormalization: X (N, C, …), scale and bias: one per group before opset 21, one per channel since.
    /// Wu and He, "Group Normalization", 2018, section 3.
    private static func groupNormalization(_ context: OperatorContext) throws -> Kernel {
        let epsilon = Double(try context.node.float("epsilon", default: 1e-5))
        let groups = try context.node.int("num_groups")
        guard groups > 0 else {
            throw context.error("attribute num_groups is \(groups); it must be positive")
        }
        return { inputs in
            let x = try context.required(inputs, 0)
            guard x.rank >= 2, x.shape[1] % groups == 0 else {
                throw context.error("an input of shape \(x.shape) in \(groups) groups of channels")
            }
            func perChannel(_ slot: Int) throws -> Tensor {
                let given = try context.required(inputs, slot)
                if given.count == x.shape[1] && (context.version >= 21 || groups == x.shape[1]) {
                    return given
                }
                guard given.count == groups else {
                    throw context.error("input \(slot) has \(given.count) numbers for \(groups) groups")
                }
                return try given.reshaped([groups, 1]).expanded([groups, x.shape[1] / groups]).reshaped([
                    x.shape[1]
                ])
            }
            return [
                try groupNorm(
                    .tensor(x), .int(groups), .tensor(perChannel(1)), .tensor(perChannel(2)),
                    .double(epsilon), false)
            ]
        }
    }

    /// MeanVarianceNormalization: zero mean and unit variance over `axes`.
    private static func meanVarianceNormalization(_ context: OperatorContext) throws -> Kernel {
        let axes = try context.node.ints("axes", default: [0, 2, 3])
        return { inputs in
            let x = try context.required(inputs, 0)
            let dimensions = try axes.map { try context.axis($0, rank: x.rank) }
            let centred = try x - x.averaged(over: dimensions, keeping: true)
            let spread = try centred.raised(to: 2).averaged(over: dimensions, keeping: true).squareRooted()
            return [try centred / (spread + 1e-9)]
        }
    }
}
