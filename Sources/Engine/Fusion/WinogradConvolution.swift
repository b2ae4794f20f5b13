internal import ComputationGraph
internal import ONNX
internal import Torch

/// A convolution with 3×3 kernels in steps of one, by Winograd's minimal filtering, with the batch normalization and the
/// ReLU after it.
///
/// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. Tiles of 4×4 outputs take a quarter of the
/// products, and about half the time. The rounding differs from the definition's, by about as much as single precision
/// errs anyway; a block whose result holds infinity or NaN, or came too near to the largest number, is computed by the
/// definition instead, so that both agree on what is finite. A mask that removes an edge between the layers has them
/// computed one by one.
struct WinogradConvolution {
    /// How the last of the layers is computed together with the others.
    let form: Specialisation.Form

    /// The convolution that ends in `last`; `nil` where it is none, or would not gain by it.
    init?(endingIn last: Vertex, _ pattern: Pattern) throws {
        var fusedEdges: [Edge] = []
        var layer = last
        let isRectified = last.operation == "Relu" && last.node.domain.isEmpty
        if isRectified {
            guard let input = last.inputs[0],
                let before = pattern.producer(input, "Conv") ?? pattern.producer(input, "BatchNormalization")
            else { return nil }
            fusedEdges.append(Edge(node: last.index, slot: 0))
            layer = before
        }
        let fusion = pattern.normalizations[layer.index]
        if let fusion {
            fusedEdges.append(Edge(node: layer.index, slot: 0))
            layer = pattern.graph.vertices[fusion.convolution]
        }
        guard layer.operation == "Conv", layer.node.domain.isEmpty, let x = layer.inputs[0],
            let weight = fusion?.weight ?? pattern.initializer(layer, 1),
            fusion != nil || layer.inputs.count < 3 || layer.inputs[2] == nil
                || pattern.constant(layer, 2)?.scalarType == .float32,
            !pattern.graph.values[x].hasDynamicShape, let shape = pattern.shapes[x],
            let padding = try WinogradConvolution.padding(layer, over: shape, weight: weight),
            let transformed = try pattern.fused.transformed(weight)
        else { return nil }
        let bias =
            fusion?.bias ?? pattern.constant(layer, 2)
            ?? pattern.addedBiases[layer.index]?.flat
        form = Specialisation.Form(
            vertex: layer.index,
            kernel: WinogradConvolution.kernel(weight, transformed, bias, padding, isRectified: isRectified),
            inputs: [x], fusedEdges: fusedEdges)
    }

    /// A vertex's convolution alone, whose weight and bias are no constants of a pattern.
    ///
    /// - Parameters:
    ///   - shape: the input's.
    ///   - transformed: the weight as `FusedWeights` transforms it.
    /// - Returns: `nil` for a vertex that is no convolution, or would not gain.
    static func kernel(
        of vertex: Vertex, over shape: [Int], weight: Tensor, transformed: Tensor, bias: Tensor?
    ) throws -> Kernel? {
        guard vertex.operation == "Conv", vertex.node.domain.isEmpty,
            bias.map({ $0.scalarType == .float32 }) ?? true,
            let padding = try padding(vertex, over: shape, weight: weight)
        else { return nil }
        return kernel(weight, transformed, bias, padding, isRectified: false)
    }

    private static func kernel(
        _ weight: Tensor, _ transformed: Tensor, _ bias: Tensor?, _ padding: [Int], isRectified: Bool
    ) -> Kernel {
        { inputs in
            guard let x = inputs[0] else { return [nil] }
            return [
                try convolution(
                    .tensor(x), .tensor(weight), .tensor(transformed), .optional(bias), .ints(padding),
                    .bool(isRectified))
            ]
        }
    }

    /// The zeros around the input (top, left, bottom, right), where the convolution is one that gains.
    private static func padding(_ vertex: Vertex, over shape: [Int], weight: Tensor) throws -> [Int]? {
        guard shape.count == 4, weight.rank == 4, weight.scalarType == .float32, weight.shape[1] == shape[1],
            weight.shape[2...] == [3, 3]
        else { return nil }
        let window = try SpatialWindow(OperatorContext(vertex: vertex, constants: []))
        guard try window.groups() == 1 else { return nil }
        let placement = try window.placed(
            over: Array(shape[2...]), kernel: window.kernel(ofWeight: weight.shape))
        let padding = placement.begin + placement.end
        guard placement.strides == [1, 1], placement.dilations == [1, 1],
            padding.allSatisfy({ (0...2).contains($0) }),
            pays(images: shape[0], channels: (shape[1], weight.shape[0]), output: placement.output)
        else { return nil }
        return padding
    }

    /// Whether it takes less time than the definition, by shapes alone, so that a block's bits follow from the block.
    ///
    /// Measured from 16 to 512 channels, 4×4 to 56×56 outputs and 1 to 64 images. Too little of the tiles is used where
    /// they hang over (5×5 outputs take four of them), and reading the weights, four times as many numbers, takes longest
    /// where there are few tiles.
    static func pays(images: Int, channels: (in: Int, out: Int), output: [Int]) -> Bool {
        let tiles = ((output[0] + 3) / 4) * ((output[1] + 3) / 4)
        return [channels.in, channels.out].allSatisfy { $0 > 0 && $0 % 16 == 0 && $0 <= 32 * images * tiles }
            && output[0] * output[1] >= 7 * tiles
    }
}

extension Pattern {
    /// The weight in a vertex's input slot, the same tensor in all plans.
    fileprivate func initializer(_ vertex: Vertex, _ slot: Int) -> Tensor? {
        guard vertex.inputs.indices.contains(slot), let value = vertex.inputs[slot],
            graph.values[value].constant != nil
        else { return nil }
        return constants[value]
    }

    /// The constant in a vertex's input slot.
    fileprivate func constant(_ vertex: Vertex, _ slot: Int) -> Tensor? {
        vertex.inputs.indices.contains(slot) ? vertex.inputs[slot].flatMap { constants[$0] } : nil
    }
}

private let convolution = Operation("espalier::winograd_convolution")
