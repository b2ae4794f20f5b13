@testable import ComputationGraph
import Foundation
import ONNX
import Testing

@Suite("The linear layers of a graph")
struct LinearMapTests {
    @Test(
        "are found in every form, with their weight, bias and channels",
        arguments: RecoveryModel.allCases, [false, true])
    func forms(model: RecoveryModel, hasBias: Bool) throws {
        let graph = try model.make(hasBias: hasBias).graph()
        let found = LinearMaps(of: graph)
        #expect(found.fixed.isEmpty)
        #expect(found.maps.count == 3)
        let form: LinearMap.Form =
            switch model {
            case .convolution: .convolution(groups: 1)
            case .grouped: .convolution(groups: 2)
            case .depthwise: .convolution(groups: 4)
            case .transposed: .transposedConvolution(groups: 1)
            case .right: .rightProduct
            case .left: .leftProduct
            case .gemm: .gemm(alpha: 0.5, beta: 2, isTransposed: true)
            }
        for (name, map) in zip(["first", "second", "third"], found.maps) {
            #expect(map.form == form)
            #expect(graph.values[map.weight].name == "\(name).weight")
            #expect(map.bias.map { graph.values[$0].name } == (hasBias ? "\(name).bias" : nil))
            #expect(graph.values[map.output].name == name)
            #expect(map.dataSlot == (model == .left ? 1 : 0))
            let isProduct = model == .left || model == .right
            #expect(map.addition.map { graph.vertices[$0].name } == (hasBias && isProduct ? name : nil))
            // [N, C, H, W], [N, T, C], [N, C, F] and [N, C].
            let axis = [RecoveryModel.left: 1, .right: 0, .gemm: 0][model] ?? 2
            #expect(map.channelAxisFromEnd == axis)
        }
    }

    /// x [N, 4] in front of what a closure adds, which ends in y [N, 4].
    private func maps(_ add: (inout SmallModel) throws -> Void) throws -> (Graph, LinearMaps) {
        var model = SmallModel(operatorSet: 17)
        model.input("x", [nil, 4])
        try add(&model)
        model.output("y")
        let graph = try model.graph()
        return (graph, LinearMaps(of: graph))
    }

    private func named(_ found: (Graph, LinearMaps)) -> [String: LinearMaps.Obstacle] {
        Dictionary(uniqueKeysWithValues: found.1.fixed.map { (found.0.vertices[$0].name, $1) })
    }

    @Test("whose weights others read too stay as they are")
    func sharedWeights() throws {
        let tied = try maps { model in
            try model.weight("w", [4, 4])
            model.node("MatMul", ["x", "w"], "a", [nil, 4])
            model.node("Relu", ["a"], "b", [nil, 4])
            model.node("MatMul", ["b", "w"], "y", [nil, 4])
        }
        #expect(tied.1.maps.isEmpty && named(tied) == ["a": .sharedWeight, "y": .sharedWeight])
        let given = try maps { model in
            try model.weight("w", [4, 4])
            model.node("MatMul", ["x", "w"], "y", [nil, 4])
            model.output("w")
        }
        #expect(given.1.maps.isEmpty && named(given) == ["y": .sharedWeight])
        let bias = try maps { model in
            for name in ["w", "v"] { try model.weight(name, [4, 4]) }
            try model.weight("bias", [4])
            model.node("Gemm", ["x", "w", "bias"], "a", [nil, 4])
            model.node("Gemm", ["a", "v", "bias"], "y", [nil, 4])
        }
        #expect(bias.1.maps.isEmpty && named(bias) == ["a": .sharedWeight, "y": .sharedWeight])
    }

    @Test("that add what others add too are layers without a bias")
    func sharedAddends() throws {
        let found = try maps { model in
            for name in ["w", "v"] { try model.weight(name, [4, 4]) }
            try model.weight("bias", [4])
            model.node("MatMul", ["x", "w"], "a", [nil, 4])
            model.node("Add", ["a", "bias"], "b", [nil, 4])
            model.node("MatMul", ["b", "v"], "c", [nil, 4])
            model.node("Add", ["c", "bias"], "y", [nil, 4])
        }
        #expect(found.1.fixed.isEmpty && found.1.maps.map(\.bias) == [nil, nil])
        #expect(found.1.maps.map { found.0.values[$0.output].name } == ["a", "c"])
    }

    @Test("whose weights are computed stay as they are")
    func computedWeights() throws {
        let found = try maps { model in
            try model.tensor("q", TensorData(elementType: .int8, shape: [4, 4], bytes: Data(0..<16)))
            try model.tensor("scale", TensorData(floats: [0.5], shape: []))
            model.node("DequantizeLinear", ["q", "scale"], "w", [4, 4])
            model.node("MatMul", ["x", "w"], "y", [nil, 4])
        }
        #expect(found.1.maps.isEmpty && named(found) == ["y": .computedWeight])
    }

    @Test("that are recurrent, or of a form that has no matrix, stay as they are")
    func otherForms() throws {
        var model = SmallModel(operatorSet: 17)
        model.input("x", [3, nil, 4])
        for (name, shape) in [("w", [1, 20, 4]), ("r", [1, 20, 5])] { try model.weight(name, shape) }
        model.node(
            "LSTM", ["x", "w", "r"], "y", [3, 1, nil, 5], AttributeProto(name: "hidden_size", int: 5))
        model.output("y")
        let graph = try model.graph()
        #expect(LinearMaps(of: graph).fixed == [0: .otherForm] && LinearMaps(of: graph).maps.isEmpty)
        let stacked = try maps { model in
            try model.weight("w", [2, 4, 4])
            model.node("MatMul", ["x", "w"], "y", [2, nil, 4])
        }
        #expect(stacked.1.maps.isEmpty && named(stacked) == ["y": .otherForm])
        let turned = try maps { model in
            try model.weight("w", [4, 4])
            model.node(
                "Gemm", ["x", "w"], "y", [4, 4], AttributeProto(name: "transA", int: 1))
        }
        #expect(turned.1.maps.isEmpty && named(turned) == ["y": .otherForm])
        let matrix = try maps { model in
            try model.weight("w", [4, 4])
            try model.weight("c", [3, 4])
            model.node("Gemm", ["x", "w", "c"], "y", [3, 4])
        }
        #expect(matrix.1.maps.isEmpty && named(matrix) == ["y": .otherForm])
    }

    @Test(
        "whose bias is one number for all channels stay as they are, and one that is added behind is no bias")
    func oneNumber() throws {
        let inside = try maps { model in
            try model.weight("w", [4, 4])
            try model.weight("c", [1])
            model.node("Gemm", ["x", "w", "c"], "y", [nil, 4])
        }
        #expect(inside.1.maps.isEmpty && named(inside) == ["y": .otherForm])
        let behind = try maps { model in
            try model.weight("w", [4, 4])
            try model.weight("c", [1])
            model.node("MatMul", ["x", "w"], "p", [nil, 4])
            model.node("Add", ["p", "c"], "y", [nil, 4])
        }
        let map = try #require(behind.1.maps.first)
        #expect(map.bias == nil && map.addition == nil && behind.0.values[map.output].name == "p")
    }

    @Test("are not products of data with data, and those are no obstacle")
    func products() throws {
        let found = try maps { model in
            model.node("Transpose", ["x"], "t", [4, nil], AttributeProto(name: "perm", ints: [1, 0]))
            model.node("MatMul", ["x", "t"], "p", [nil, nil])
            model.node("MatMul", ["p", "x"], "y", [nil, 4])
        }
        #expect(found.1.maps.isEmpty && found.1.fixed.isEmpty)
    }

    @Test(
        "are refitted where they are live and read what depends on a cut", arguments: RecoveryModel.allCases)
    func refitted(model: RecoveryModel) throws {
        let graph = try model.make().graph()
        let maps = LinearMaps(of: graph).maps
        func names(_ edges: String...) throws -> [String] {
            graph.refitted(maps, under: Mask(edges.compactMap(Edge.init))).map {
                graph.vertices[$0.vertex].name
            }
        }
        let slot = model == .left ? 1 : 0
        #expect(try names().isEmpty)
        // The sum is vertex 3: first, Relu, second, Add, third, Relu.
        #expect(try names("3:0") == ["third"])
        #expect(try names("3:1") == ["third"])
        #expect(try names("1:0") == ["second", "third"])
        // What reads zeros alone is not refitted: there is nothing to fit.
        #expect(try names("2:\(slot)") == ["third"])
        #expect(try names("4:\(slot)") == [])
    }
}
