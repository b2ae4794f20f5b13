internal import ONNX

/// A layer whose output a training may normalise by the batch: a batch normalisation of the file, or a convolution into which an
/// exporter has folded one (Ioffe and Szegedy, Batch normalization, 2015).
public struct BatchNorm: Sendable, Hashable {
    /// Where scale, shift and running statistics come from.
    public enum Form: Sendable, Hashable {
        /// A layer of the file, with the values of its parameters, one number per channel each.
        case present(scale: Int, shift: Int, mean: Int, variance: Int)
        /// A convolution, with the values of its weight (C, …) and its bias (C), which is the shift while it is trained.
        case folded(weight: Int, bias: Int)
    }

    /// The layer's vertex.
    public let vertex: Int
    /// What it is.
    public let form: Form
    /// How many channels it normalises.
    public let channels: Int
    /// What is added to variances.
    public let epsilon: Double

    /// That of PyTorch's layers and of ONNX.
    public static let usualEpsilon = 1e-5
    fileprivate static let fileEpsilon: Float = 1e-5
}

extension Graph {
    /// The layers that a training may normalise by the batch, in the order of their vertices: those that are computed under a
    /// mask, whose scales and shifts are trained, and which nothing else shares.
    ///
    /// - Parameter values: the parameters that are trained.
    public func batchNorms(training values: [Int], under mask: Mask) -> [BatchNorm] {
        let trained = Set(values)
        let isLive = Liveness(of: self, under: mask).isLive
        let convolutions = Dictionary(
            LinearMaps(of: self).maps.map { ($0.vertex, $0) }, uniquingKeysWith: { first, _ in first })
        return vertices.filter { isLive[$0.index] }.compactMap { vertex in
            if vertex.facts.affine == .batchNormalisation { return batchNorm(vertex, trained) }
            guard let map = convolutions[vertex.index], case .convolution = map.form, let bias = map.bias,
                trained.contains(map.weight), trained.contains(bias), map.dataSlot == 0,
                let shape = self.values[map.weight].constant?.shape,
                !consumers[map.output].contains(where: {
                    vertices[$0.node].facts.affine == .batchNormalisation
                })
            else { return nil }
            return BatchNorm(
                vertex: vertex.index, form: .folded(weight: map.weight, bias: bias), channels: shape[0],
                epsilon: BatchNorm.usualEpsilon)
        }
    }

    /// A batch normalisation of the file.
    private func batchNorm(_ vertex: Vertex, _ trained: Set<Int>) -> BatchNorm? {
        let operands = vertex.inputs.dropFirst().prefix(4).compactMap { $0 }
        guard operands.count == 4, vertex.outputs.dropFirst().allSatisfy({ $0 == nil }),
            !vertex.facts.isTraining(self, vertex), operands.prefix(2).allSatisfy(trained.contains),
            let shape = values[operands[0]].constant?.shape, shape.count == 1,
            operands.allSatisfy({
                values[$0].constant?.shape == shape && consumers[$0].count == 1 && !isPinned[$0]
            }), let epsilon = try? vertex.node.float("epsilon", default: BatchNorm.fileEpsilon) as Float
        else { return nil }
        return BatchNorm(
            vertex: vertex.index,
            form: .present(
                scale: operands[0], shift: operands[1], mean: operands[2], variance: operands[3]),
            channels: shape[0], epsilon: Double(epsilon))
    }
}
