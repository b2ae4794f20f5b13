internal import ONNX

/// A layer whose output is linear in its weights: what a fit by least squares can refit.
public struct LinearMap: Sendable, Hashable {
    /// How weights and data are multiplied.
    public enum Form: Sendable, Hashable {
        /// Windows of X (N, C, D1…) with kernels (M, C/groups, k1…).
        case convolution(groups: Int)
        /// As a convolution's transpose: kernels (C, M/groups, k1…).
        case transposedConvolution(groups: Int)
        /// X·W.
        case rightProduct
        /// W·X.
        case leftProduct
        /// alpha·A·W + beta·C, with W (M, K) where `isTransposed`.
        case gemm(alpha: Float, beta: Float, isTransposed: Bool)
    }

    /// The vertex that multiplies.
    public let vertex: Int
    /// How.
    public let form: Form
    /// The slot that the data comes in by.
    public let dataSlot: Int
    /// The weight's value: an initialiser that nothing else reads.
    public let weight: Int
    /// The bias's value, an initialiser that nothing else reads; `nil` where the layer has none.
    public let bias: Int?
    /// The vertex that adds the bias, where that is another one.
    public let addition: Int?
    /// What the layer gives, its bias added.
    public let output: Int
    /// The place of the output's channels among its axes, counted from the last one, which is 0.
    public let channelAxisFromEnd: Int
}

/// The linear layers of a graph, and why others stay as they are.
public struct LinearMaps: Sendable {
    /// Those that can be refitted, in the order of computation.
    public let maps: [LinearMap]
    /// Layers with weights that cannot, by the index of their vertex.
    public let fixed: [Int: Obstacle]

    /// Why a layer stays as it is.
    public enum Obstacle: String, Sendable, Hashable, CaseIterable {
        /// Others read its weight too.
        case sharedWeight = "share their weights"
        /// Its weight is computed, from quantised numbers mostly.
        case computedWeight = "compute their weights from others (quantised ones)"
        /// Its output is not linear in one weight.
        case otherForm = "are recurrent or of another form"
    }

    /// One sentence about the layers that stay as they are; `nil` where there are none.
    public func note(in graph: Graph) -> String? {
        guard let first = fixed.keys.min() else { return nil }
        let reasons = Obstacle.allCases.filter { fixed.values.contains($0) }.map(\.rawValue)
        let layers =
            fixed.count == 1
            ? "'\(graph.vertices[first].name)' stays as it is"
            : "\(fixed.count) layers, '\(graph.vertices[first].name)' among them, stay as they are"
        return "\(layers) in a recovery: such layers \(reasons.joined(separator: ", or "))"
    }

    /// Looks through a graph.
    public init(of graph: Graph) {
        var maps: [LinearMap] = []
        var fixed: [Int: Obstacle] = [:]
        for vertex in graph.order.map({ graph.vertices[$0] }) where vertex.facts.hasWeights {
            switch LinearMap.found(in: vertex, graph) {
            case .success(let map): if let map { maps.append(map) }
            case .failure(let reason): fixed[vertex.index] = reason
            }
        }
        self.maps = maps
        self.fixed = fixed
    }
}

extension LinearMaps.Obstacle: Error {}

extension LinearMap {
    /// The linear map that a vertex is; `nil` where it multiplies data with data.
    fileprivate static func found(in vertex: Vertex, _ graph: Graph) -> Result<
        LinearMap?, LinearMaps.Obstacle
    > {
        guard let linear = vertex.facts.linear else {
            let reads = vertex.inputs.compactMap { $0 }
            return reads.contains { graph.isParameterLike($0) } ? .failure(.otherForm) : .success(nil)
        }
        guard vertex.outputs.count == 1, let output = vertex.outputs[0], vertex.inputs.count >= 2,
            let first = vertex.inputs[0], let second = vertex.inputs[1]
        else { return .failure(.otherForm) }
        let dependsOnData = (graph.values[first].dependsOnData, graph.values[second].dependsOnData)
        guard dependsOnData.0 != dependsOnData.1 else { return .success(nil) }
        let (dataSlot, weight) = dependsOnData.0 ? (0, second) : (1, first)
        guard let tensor = graph.values[weight].constant, tensor.elementType.isFloatingPoint else {
            return .failure(.computedWeight)
        }
        guard graph.consumers[weight].count == 1, !graph.isPinned[weight] else {
            return .failure(.sharedWeight)
        }
        guard let form = try? form(of: vertex, linear, dataSlot: dataSlot, rank: tensor.shape.count) else {
            return .failure(.otherForm)
        }
        var bias: Int?
        var addition: (vertex: Int, output: Int)?
        let axis: Int
        let channels: Int
        switch form {
        case .convolution: (axis, channels) = (tensor.shape.count - 2, tensor.shape[0])
        case .transposedConvolution(let groups):
            (axis, channels) = (tensor.shape.count - 2, tensor.shape[1] * groups)
        case .rightProduct, .gemm(_, _, false): (axis, channels) = (0, tensor.shape[1])
        case .gemm(_, _, true): (axis, channels) = (0, tensor.shape[0])
        case .leftProduct: (axis, channels) = (1, tensor.shape[0])
        }
        if linear == .product {
            if let found = graph.biasAddition(after: output, channelAxisFromEnd: axis, channels: channels) {
                bias = found.bias
                addition = (found.vertex, found.output)
            }
        } else if vertex.inputs.count > 2, let value = vertex.inputs[2] {
            guard let constant = graph.values[value].constant, constant.elementType.isFloatingPoint else {
                return .failure(.computedWeight)
            }
            guard isPerChannel(constant.shape, axisFromEnd: 0), constant.shape.reduce(1, *) == channels else {
                return .failure(.otherForm)
            }
            guard graph.consumers[value].count == 1, !graph.isPinned[value] else {
                return .failure(.sharedWeight)
            }
            bias = value
        }
        return .success(
            LinearMap(
                vertex: vertex.index, form: form, dataSlot: dataSlot, weight: weight, bias: bias,
                addition: addition?.vertex, output: addition?.output ?? output, channelAxisFromEnd: axis))
    }

    private static func form(of vertex: Vertex, _ linear: LinearForm, dataSlot: Int, rank: Int) throws
        -> Form?
    {
        let node = vertex.node
        switch linear {
        case .convolution, .transposedConvolution:
            let groups = try node.int("group", default: 1)
            guard dataSlot == 0, rank >= 3, groups > 0 else { return nil }
            return linear == .convolution
                ? .convolution(groups: groups) : .transposedConvolution(groups: groups)
        case .product:
            return rank == 2 ? (dataSlot == 0 ? .rightProduct : .leftProduct) : nil
        case .gemm:
            let (alpha, beta): (Float, Float) = (
                try node.float("alpha", default: 1), try node.float("beta", default: 1)
            )
            guard dataSlot == 0, rank == 2, try node.int("transA", default: 0) == 0, alpha != 0, beta != 0
            else {
                return nil
            }
            return .gemm(alpha: alpha, beta: beta, isTransposed: try node.int("transB", default: 0) != 0)
        }
    }

    /// Whether a shape broadcasts along one axis alone, counted from the last one.
    static func isPerChannel(_ shape: [Int], axisFromEnd axis: Int) -> Bool {
        shape.reversed().enumerated().allSatisfy { $0.offset == axis || $0.element == 1 }
    }
}

extension Graph {
    /// Whether a value holds weights: a floating-point initialiser with at least two axes.
    fileprivate func isParameterLike(_ value: Int) -> Bool {
        values[value].constant.map { $0.elementType.isFloatingPoint && $0.shape.count > 1 } ?? false
    }

    /// The addition of an initialiser to a value that nothing else reads, one number per channel.
    fileprivate func biasAddition(
        after value: Int, channelAxisFromEnd axis: Int, channels: Int
    ) -> (vertex: Int, bias: Int, output: Int)? {
        guard consumers[value].count == 1, !isPinned[value] else { return nil }
        let reader = vertices[consumers[value][0].node]
        guard reader.facts.affine == .sum, reader.inputs.count == 2, let output = reader.outputs[0],
            let bias = reader.inputs[1 - consumers[value][0].slot], let constant = values[bias].constant,
            constant.shape.count > axis, consumers[bias].count == 1, !isPinned[bias],
            LinearMap.isPerChannel(constant.shape, axisFromEnd: axis),
            constant.shape.reduce(1, *) == channels
        else { return nil }
        return (reader.index, bias, output)
    }
}
