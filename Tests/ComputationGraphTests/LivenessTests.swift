import Foundation
import ONNX
import Testing

@testable import ComputationGraph

@Suite("What a mask leaves")
struct LivenessTests {
    @Test("agrees with following every path, on random graphs and masks", arguments: 0..<200)
    func agreesWithReachability(seed: Int) throws {
        var generator = Seeded(UInt64(seed) + 1)
        let proto = randomModel(using: &generator)
        let graph = try Graph(ModelFile(unchecked: proto))
        let all = graph.vertices.flatMap { vertex in
            vertex.inputs.indices.map { Edge(node: vertex.index, slot: $0) }
        }
        let full = Paths(proto, cut: [])
        guard let candidates = try? Candidates(of: graph, selection: .all) else { return }

        for _ in 0..<8 {
            let mask = Mask(all.filter { _ in Int.random(in: 0..<5, using: &generator) == 0 })
            let paths = Paths(proto, cut: Set(mask.units.map(\.edge)))
            let liveness = Liveness(of: graph, under: mask)
            for (index, node) in proto.graph.node.enumerated() {
                #expect(
                    liveness.isLive[index] == paths.reachesOutput(index),
                    "seed \(seed), \(mask), node \(index)")
                if node.opType != "Shape" {
                    #expect(
                        liveness.dependsOnData[index] == paths.depends(node.output[0]),
                        "seed \(seed), \(mask), node \(index)")
                }
            }
            #expect(liveness.isConnected == paths.keepsOutputs(of: full))
        }

        // Masks that can be built up by expansions.
        var mask = Mask.empty
        while true {
            let paths = Paths(proto, cut: Set(mask.units.map(\.edge)))
            let expected = candidates.representatives.filter { edge in
                !mask.contains(edge) && paths.reachesOutput(edge.node)
                    && Paths(proto, cut: Set(mask.units.map(\.edge) + [edge])).keepsOutputs(of: full)
            }
            let expansions = candidates.expansions(of: mask, in: graph)
            #expect(expansions == expected.map { Unit($0) })
            guard let unit = expansions.randomElement(using: &generator) else { break }
            mask = mask.removing(unit)
        }

        // Candidates: floating-point values that depend on an input, into vertices that reach an output.
        let expected = all.filter { edge in
            let node = proto.graph.node[edge.node]
            let name = node.input[edge.slot]
            let isInteger = proto.graph.node.contains { $0.opType == "Shape" && $0.output[0] == name }
            return full.depends(name) && !isInteger && node.opType != "Shape" && full.reachesOutput(edge.node)
                && Paths(proto, cut: [edge]).keepsOutputs(of: full)
        }
        #expect(candidates.all == expected)
    }

    /// Two inputs, up to three outputs, dead ends, constant parts, and Shape nodes whose results are expanded to.
    func randomModel(using generator: inout Seeded) -> ModelProto {
        var proto = ModelProto()
        proto.opsetImport = [OperatorSetIdProto(domain: "", version: 17)]
        proto.graph.input = ["x", "z"].map { ValueInfoProto(name: $0, .float32, shape: [1, 4]) }
        var weight = TensorProto()
        weight.name = "w"
        weight.dataType = Int32(ElementType.float32.rawValue)
        weight.dims = [1]
        weight.rawData = Data(count: 4)
        proto.graph.initializer = [weight]
        var floats = ["x", "z", "w"]
        var shapes: [String] = []
        for index in 0..<Int.random(in: 3...12, using: &generator) {
            func pick() -> String { (floats.suffix(4) + ["x", "w"]).randomElement(using: &generator) ?? "x" }
            let name = "v\(index)"
            switch Int.random(in: 0..<9, using: &generator) {
            case 0:
                proto.graph.node.append(NodeProto("Shape", inputs: [pick()], outputs: [name]))
                shapes.append(name)
            case 1 where !shapes.isEmpty:
                proto.graph.node.append(
                    NodeProto("Expand", inputs: [pick(), shapes[shapes.count - 1]], outputs: [name]))
                floats.append(name)
            case 2, 3:
                proto.graph.node.append(NodeProto("Relu", inputs: [pick()], outputs: [name]))
                floats.append(name)
            case 4:
                proto.graph.node.append(
                    NodeProto("Concat", inputs: [pick(), pick(), pick()], outputs: [name]))
                floats.append(name)
            default:
                proto.graph.node.append(NodeProto("Add", inputs: [pick(), pick()], outputs: [name]))
                floats.append(name)
            }
        }
        let computed = floats.dropFirst(3)
        var outputs = Set(computed.shuffled(using: &generator).prefix(.random(in: 0...2, using: &generator)))
        outputs.insert(floats[floats.count - 1])
        proto.graph.output = outputs.sorted().map { ValueInfoProto(name: $0, .float32, shape: [1, 4]) }
        return proto
    }
}

/// Reachability by following paths from names to names, one at a time.
private struct Paths {
    let proto: ModelProto
    let cut: Set<Edge>

    init(_ proto: ModelProto, cut: Set<Edge>) {
        self.proto = proto
        self.cut = cut
    }

    /// Whether a path leads from an input's elements to the tensor.
    func depends(_ name: String) -> Bool {
        if proto.graph.input.contains(where: { $0.name == name }) { return true }
        guard let index = proto.graph.node.firstIndex(where: { $0.output.contains(name) }) else {
            return false
        }
        let node = proto.graph.node[index]
        guard node.opType != "Shape" else { return false }
        return node.input.enumerated().contains { slot, input in
            !cut.contains(Edge(node: index, slot: slot)) && depends(input)
        }
    }

    /// Whether a path leads from the node to an output.
    func reachesOutput(_ index: Int) -> Bool {
        proto.graph.node[index].output.contains { name in
            proto.graph.output.contains { $0.name == name }
                || proto.graph.node.enumerated().contains { consumer, node in
                    node.input.enumerated().contains { slot, input in
                        input == name && !cut.contains(Edge(node: consumer, slot: slot))
                    } && reachesOutput(consumer)
                }
        }
    }

    func keepsOutputs(of full: Paths) -> Bool {
        proto.graph.output.allSatisfy { depends($0.name) || !full.depends($0.name) }
    }
}

@Suite("Bridges")
struct BridgesTests {
    @Test(
        "are the edges without which an output hangs in the air",
        arguments: ["bert", "densenet", "gpt2", "lstm"])
    func ofModels(model: String) throws {
        let path = Expected.fixtures.appending(path: "models/\(model).onnx").path
        var generator = Seeded(5)
        try byDefinition(Graph(ModelFile(contentsOf: path)), using: &generator)
    }

    @Test("are that on random graphs too", arguments: 0..<200)
    func ofRandomGraphs(seed: Int) throws {
        var generator = Seeded(UInt64(seed) + 1)
        let proto = LivenessTests().randomModel(using: &generator)
        try byDefinition(Graph(ModelFile(unchecked: proto)), using: &generator)
    }

    /// Edge by edge, also under masks.
    private func byDefinition(_ graph: Graph, using generator: inout Seeded) throws {
        let edges = graph.vertices.flatMap { vertex in
            vertex.inputs.indices.map { Edge(node: vertex.index, slot: $0) }
        }
        var mask = Mask.empty
        for _ in 0..<6 {
            let bridges = Bridges(of: graph, under: mask)
            var removable: [Edge] = []
            for edge in edges where !mask.contains(Unit(edge)) {
                let stays = Liveness(of: graph, under: mask.removing(Unit(edge))).isConnected
                #expect(bridges.contains(edge) == !stays, "\(edge) under \(mask)")
                if stays { removable.append(edge) }
            }
            guard let next = removable.randomElement(using: &generator) else { break }
            mask = mask.removing(Unit(next))
        }
    }
}
