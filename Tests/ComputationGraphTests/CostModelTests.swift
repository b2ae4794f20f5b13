import ComputationGraph
import Foundation
import ONNX
import Testing

@Suite("The cost of a model")
struct CostModelTests {
    /// Multiply-adds of convolutions and linear layers alone, in units of 10⁹: what torchvision's documentation lists.
    private func products(_ graph: Graph, _ costs: CostModel) -> Double {
        let operations = graph.vertices.filter { ["Conv", "Gemm"].contains($0.operation) }
            .reduce(0) { $0 + costs.flops(of: $1.index) }
        return Double(operations) / 2e9
    }

    /// Parameters: torchvision's documentation. 1.8 · 10⁹ multiply-adds: He et al. 2016, table 1; 1.814 of
    /// convolutions and the linear layer, torchvision; 1.82 with everything else, ptflops' table.
    @Test("ResNet-18 at 224 × 224 has 11,689,512 parameters and takes 1.82 billion multiply-adds")
    func resNet18() throws {
        let (graph, costs) = try Self.makeResNet18().costs()
        let cost = costs.cost(of: .empty)
        #expect(cost.parameters == 11_689_512)
        #expect(abs(products(graph, costs) - 1.814) < 0.0005)
        #expect((Double(cost.flops) / 2e7).rounded() / 100 == 1.82)
    }

    /// torchvision's documentation: 138,357,544 parameters, 15.47 billion multiply-adds; 15.5 in ptflops' table.
    @Test("VGG-16 has 138,357,544 parameters and takes 15.5 billion multiply-adds")
    func vgg16() throws {
        var network = NetworkBuilder(image: [3, 224, 224])
        for (width, depth) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
            for _ in 0..<depth {
                network.convolution(width, kernel: 3, hasBias: true)
                network.elementwise("Relu")
            }
            network.maxPool(kernel: 2, stride: 2, padding: 0)
        }
        for width in [4096, 4096] {
            network.linear(width)
            network.elementwise("Relu")
        }
        network.linear(1000)
        let (graph, costs) = try network.costs()
        #expect(costs.cost(of: .empty).parameters == 138_357_544)
        // Its biases, an addition per output, are 0.007 of ours.
        #expect(abs(products(graph, costs) - 15.47) < 0.01)
        #expect((Double(costs.cost(of: .empty).flops) / 2e8).rounded() / 10 == 15.5)
    }

    /// torchvision's documentation: 3,504,872 parameters, 0.30 billion multiply-adds (0.301 in the weights' metadata).
    @Test("MobileNetV2 has 3,504,872 parameters and takes 0.30 billion multiply-adds in its convolutions")
    func mobileNetV2() throws {
        var network = NetworkBuilder(image: [3, 224, 224])
        func block(_ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1, isLinear: Bool = false) {
            network.convolution(outputs, kernel: kernel, stride: stride, groups: groups)
            network.batchNormalization()
            if !isLinear { network.elementwise("Clip") }
        }
        block(32, kernel: 3, stride: 2)
        var width = 32
        for (expansion, outputs, count, stride) in [
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
            (6, 320, 1, 1),
        ] {
            for index in 0..<count {
                let input = network.current
                if expansion > 1 { block(width * expansion, kernel: 1) }
                block(
                    width * expansion, kernel: 3, stride: index == 0 ? stride : 1, groups: width * expansion)
                block(outputs, kernel: 1, isLinear: true)
                if index > 0 { network.addition(input) }
                width = outputs
            }
        }
        block(1280, kernel: 1)
        network.globalAverage()
        network.linear(1000)
        let (graph, costs) = try network.costs()
        #expect(costs.cost(of: .empty).parameters == 3_504_872)
        #expect(abs(products(graph, costs) - 0.301) < 0.0005)
    }

    @Test("falls by what only the removed branch needs")
    func branchOfResNet18() throws {
        let (graph, costs) = try Self.makeResNet18().costs()
        let whole = costs.cost(of: .empty)
        let add = try #require(graph.vertices.first { $0.operation == "Add" })
        // The first block: two 3 × 3 convolutions 64 → 64 on 56 × 56, two normalisations, one ReLU between them.
        let pixels = 64 * 56 * 56
        let branch = costs.cost(of: Mask([Edge(node: add.index, slot: 0)]))
        #expect(whole.parameters - branch.parameters == 2 * 64 * 64 * 9 + 2 * 2 * 64)
        #expect(whole.flops - branch.flops == 2 * (2 * pixels * 64 * 9) + 2 * 2 * pixels + pixels)
        // Its skip connection costs nothing.
        #expect(costs.cost(of: Mask([Edge(node: add.index, slot: 1)])) == whole)
    }

    @Test("of recurrent layers and matrix products is that of the sums written out")
    func productsByHand() throws {
        // Both directions, 7 steps, 3 inputs, 5 hidden units, 4 gates, batch 2: 7 · 2 · 4 · 5 · (3 + 5) multiply-adds.
        #expect(
            try flops("LSTM", [[7, 2, 3], [2, 20, 3], [2, 20, 5]], output: [7, 2, 2, 5], samples: 2)
                == 2 * 7 * 2 * 4 * 5 * (3 + 5))
        #expect(
            try flops("GRU", [[7, 1, 3], [1, 15, 3], [1, 15, 5]], output: [7, 1, 1, 5]) == 2 * 7 * 3 * 5
                * (3 + 5))
        // [2 × 3 × 4] · [4 × 5]: 2 · 3 · 5 dot products of length 4.
        #expect(try flops("MatMul", [[2, 3, 4], [4, 5]], output: [2, 3, 5]) == 2 * 2 * 3 * 5 * 4)
        #expect(
            try flops(
                "Gemm", [[4, 3], [4, 5]], output: [3, 5], attributes: [AttributeProto(name: "transA", int: 1)]
            ) == 2 * 3 * 5 * 4)
        #expect(
            try flops(
                "Einsum", [[2, 3, 4, 6], [2, 3, 5, 6]], output: [2, 3, 4, 5],
                attributes: [AttributeProto(name: "equation", string: "bhid,bhjd->bhij")]) == 2 * 2 * 3 * 4
                * 5 * 6)
        // Every input element meets every weight of its channel: 8 · 8 · 6 · (4 · 2 · 2).
        #expect(
            try flops("ConvTranspose", [[1, 6, 8, 8], [6, 4, 2, 2]], output: [1, 4, 16, 16]) == 2 * 8 * 8 * 6
                * 16)
        // Two groups: each of 10 · 10 · 8 outputs reads 3 of the 6 channels.
        #expect(
            try flops("Conv", [[1, 6, 10, 10], [8, 3, 3, 3]], output: [1, 8, 10, 10]) == 2 * 10 * 10 * 8 * 3
                * 9)
        #expect(try flops("Transpose", [[3, 4]], output: [4, 3]) == 0)
    }

    @Test("counts a weight that several layers share once, as long as one of them lives")
    func sharedWeights() throws {
        var proto = ModelProto()
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        proto.graph.input = [ValueInfoProto(name: "x", .float32, shape: [1, 4])]
        var weight = TensorProto()
        weight.name = "w"
        weight.dataType = Int32(ElementType.float32.rawValue)
        weight.dims = [4, 4]
        weight.rawData = Data(count: 64)
        proto.graph.initializer = [weight]
        proto.graph.node = [
            NodeProto("MatMul", inputs: ["x", "w"], outputs: ["a"]),
            NodeProto("MatMul", inputs: ["a", "w"], outputs: ["b"]),
            NodeProto("Sum", inputs: ["x", "a", "b"], outputs: ["y"]),
        ]
        proto.graph.output = [ValueInfoProto(name: "y", .float32, shape: [1, 4])]
        let graph = try Graph(ModelFile(unchecked: proto))
        let costs = CostModel(
            graph: graph, shapes: graph.values.map { $0.constant?.shape ?? [1, 4] }, samples: 1)
        func cost(_ edges: String...) -> [Int] {
            let cost = costs.cost(of: Mask(edges.compactMap { Edge($0) }))
            return [cost.parameters, cost.flops]
        }
        #expect(cost() == [16, 32 + 32 + 4])
        #expect(cost("2:2") == [16, 32 + 4])
        #expect(cost("2:1", "2:2") == [0, 4])
        #expect(cost("2:1") == [16, 32 + 32 + 4])
        // What no data reaches any more is a constant.
        #expect(cost("1:0") == [16, 32 + 4])
    }

    private func flops(
        _ operation: String, _ inputs: [[Int]], output: [Int], samples: Int = 1,
        attributes: [AttributeProto] = []
    ) throws -> Int {
        var proto = ModelProto()
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        let names = inputs.indices.map { "i\($0)" }
        proto.graph.input = zip(names, inputs).map { ValueInfoProto(name: $0, .float32, shape: $1) }
        proto.graph.node = [NodeProto(operation, inputs: names, outputs: ["y"], attributes: attributes)]
        proto.graph.output = [ValueInfoProto(name: "y", .float32, shape: output)]
        let graph = try Graph(ModelFile(unchecked: proto))
        let shapes = graph.values.map { value in
            names.firstIndex(of: value.name).map { inputs[$0] } ?? output
        }
        return CostModel(graph: graph, shapes: shapes, samples: samples).cost(of: .empty).flops
    }

    private static func makeResNet18() -> NetworkBuilder {
        var network = NetworkBuilder(image: [3, 224, 224])
        network.convolution(64, kernel: 7, stride: 2)
        network.batchNormalization()
        network.elementwise("Relu")
        network.maxPool(kernel: 3, stride: 2, padding: 1)
        for (stage, width) in [64, 128, 256, 512].enumerated() {
            for index in 0..<2 {
                let stride = stage > 0 && index == 0 ? 2 : 1
                let input = network.current
                network.convolution(width, kernel: 3, stride: stride)
                network.batchNormalization()
                network.elementwise("Relu")
                network.convolution(width, kernel: 3)
                network.batchNormalization()
                let branch = network.current
                var skip = input
                if stride == 2 {
                    network.from(input)
                    network.convolution(width, kernel: 1, stride: 2)
                    network.batchNormalization()
                    skip = network.current
                    network.from(branch)
                }
                network.addition(skip)
                network.elementwise("Relu")
            }
        }
        network.globalAverage()
        network.linear(1000)
        return network
    }
}
