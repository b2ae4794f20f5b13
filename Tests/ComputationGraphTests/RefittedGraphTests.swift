@testable import ComputationGraph
import ONNX
import Testing

@Suite("A graph with refitted weights")
struct RefittedGraphTests {
    /// Refits all layers: weights count down from −1, biases up from a quarter.
    private func refitted(_ graph: Graph) throws -> Graph {
        let maps = LinearMaps(of: graph).maps
        var weights: [Int: [Float]] = [:]
        for map in maps {
            for value in [map.weight, map.bias].compactMap(\.self) {
                let count = graph.values[value].constant?.shape.reduce(1, *) ?? 0
                weights[value] = (0..<count).map { -Float($0 + 1) }
            }
        }
        let biases = maps.filter { $0.bias == nil }.map {
            (layer: $0, elements: (0..<4).map { Float($0) + 0.25 })
        }
        return try graph.refitted(weights, biases: biases)
    }

    @Test(
        "keeps the numbers of vertices and the names of values, and has the new numbers",
        arguments: RecoveryModel.allCases, [false, true])
    func numbersAndNames(model: RecoveryModel, hasBias: Bool) throws {
        let graph = try model.make(hasBias: hasBias).graph()
        let other = try refitted(graph)
        for (old, new) in zip(graph.vertices, other.vertices) {
            #expect(old.name == new.name && old.operation == new.operation && old.index == new.index)
        }
        #expect(Set(graph.values.map(\.name)).isSubset(of: other.values.map(\.name)))
        #expect(graph.inputs.map(\.name) == other.inputs.map(\.name))
        #expect(graph.outputs.map(\.name) == other.outputs.map(\.name))
        for name in ["first", "second", "third"] {
            let weight = try #require(other.constant("\(name).weight"))
            #expect(weight.shape == graph.constant("\(name).weight")?.shape)
            #expect(try weight.floats == (0..<weight.shape.reduce(1, *)).map { -Float($0 + 1) })
        }
        try ModelFile(unchecked: other.model.model).check()
    }

    @Test(
        "gives layers without a bias one, a product by an addition that comes last",
        arguments: RecoveryModel.allCases)
    func addedBiases(model: RecoveryModel) throws {
        let graph = try model.make().graph()
        let other = try refitted(graph)
        let isProduct = model == .left || model == .right
        #expect(other.vertices.count == graph.vertices.count + (isProduct ? 3 : 0))
        for (place, name) in ["first", "second", "third"].enumerated() {
            let bias = try #require(other.constant("\(name)/bias"))
            // A Gemm multiplies it by beta, which is 2.
            let factor: Float = model == .gemm ? 2 : 1
            #expect(try bias.floats == (0..<4).map { (Float($0) + 0.25) / factor })
            #expect(bias.shape == (model == .left ? [4, 1] : [4]))
            let map = try #require(other.linearMap(name))
            #expect(map.bias == other.named("\(name)/bias") && map.output == other.named(name))
            guard isProduct else { continue }
            let addition = other.vertices[graph.vertices.count + place]
            #expect(addition.operation == "Add" && map.addition == addition.index)
        }
    }

    @Test("does not take names that there are")
    func names() throws {
        var model = SmallModel(operatorSet: 17)
        model.input("x", [nil, 4])
        try model.weight("w", [4, 4])
        try model.weight("y/bias", [4])
        model.node("Add", ["x", "y/bias"], "y/product", [nil, 4])
        model.node("MatMul", ["y/product", "w"], "y", [nil, 4])
        model.output("y")
        let graph = try model.graph()
        let layer = try #require(graph.linearMap("y"))
        let other = try graph.refitted([:], biases: [(layer, [1, 2, 3, 4])])
        #expect(Set(other.values.map(\.name)).count == other.values.count)
        try ModelFile(unchecked: other.model.model).check()
        #expect(try other.constant("y/bias")?.floats == [1, 2, 3, 4])
    }

    @Test("stores half precision where the file does")
    func halfPrecision() throws {
        var model = SmallModel(operatorSet: 17)
        model.input("x", [nil, 2], .float16)
        try model.tensor("w", Constant(.float16, shape: [2, 2], [1, 2, 3, 4]).tensorData())
        model.node("MatMul", ["x", "w"], "y", [nil, 2])
        model.output("y", .float16)
        let graph = try model.graph()
        let layer = try #require(graph.linearMap("y"))
        let other = try graph.refitted([layer.weight: [0.1, 0.2, 0.3, 0.4]], biases: [(layer, [0.5, 1])])
        let weight = try #require(other.constant("w"))
        // 0.1, 0.2, 0.3, 0.4 in half precision, as NumPy's float16 rounds them.
        #expect(weight.elementType == .float16)
        #expect(try weight.floats == [0.099975586, 0.19995117, 0.30004883, 0.39990234])
        let bias = try #require(other.constant("y/bias"))
        #expect(bias.elementType == .float16)
        try ModelFile(unchecked: other.model.model).check()
    }

    @Test("costs what a mask was said to cost once biases are added", arguments: RecoveryModel.allCases)
    func costs(model: RecoveryModel) throws {
        let small = try model.make()
        let graph = try small.graph()
        let shape = model.shape
        func shapes(of graph: Graph) -> ValueShapes {
            ValueShapes(
                probes: [2, 3].map { batch in
                    ValueShapes.Probe(
                        inputShapes: graph.inputs.map { _ in shape.map { $0 ?? batch } },
                        shapes: graph.values.map { $0.constant?.shape ?? shape.map { $0 ?? batch } })
                })
        }
        let maps = LinearMaps(of: graph).maps
        let foretold = CostModel(graph: graph, shapes: shapes(of: graph), samples: 2, addsBiases: true)
        let plain = CostModel(graph: graph, shapes: shapes(of: graph), samples: 2)
        let slot = model == .left ? 1 : 0
        for text in ["3:0", "3:1", "1:0", "2:\(slot)"] {
            let mask = Mask([Edge(text)].compactMap(\.self))
            let biases = graph.refitted(maps, under: mask).map {
                (layer: $0, elements: [Float](repeating: 0.5, count: 4))
            }
            let other = try graph.refitted([:], biases: biases)
            let file = try Graph(ModelFile(unchecked: other.materialise(mask, shapes: shapes(of: other))))
            let counted = CostModel(graph: file, shapes: shapes(of: file), samples: 2).cost(of: .empty)
            #expect(foretold.cost(of: mask) == counted, "\(text)")
            #expect(counted.parameters == plain.cost(of: mask).parameters + 4 * biases.count, "\(text)")
        }
        #expect(foretold.cost(of: .empty) == plain.cost(of: .empty))
    }
}
