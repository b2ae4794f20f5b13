import ComputationGraph
import Datasets
import Engine
import Testing

/// What the modules are called, and which of them are residual bodies, is read off the networks' source: Scripts/models and
/// Scripts/examples.
@Suite("Blocks")
struct BlockTests {
    private func blocks(_ name: String) throws -> [Block] {
        let fixture = try ModelFixture(name)
        let shapes = try fixture.network.valueShapes(for: fixture.dataset)
        let costs = CostModel(graph: fixture.graph, shapes: shapes, samples: 1)
        let branches = try Candidates(of: fixture.graph, selection: .branches).all
        return fixture.graph.blocks(among: branches, costs: costs)
    }

    @Test("of a transformer are its attentions and its MLPs, by module name, and nothing inside them")
    func transformers() throws {
        #expect(
            try blocks("vit").map(\.name) == [
                "blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.1.mlp", "blocks.2.attn",
                "blocks.2.mlp",
            ])
        #expect(
            try blocks("bert").map(\.name) == [
                "model.bert.encoder.layer.0.attention", "model.bert.encoder.layer.0",
                "model.bert.encoder.layer.1.attention", "model.bert.encoder.layer.1",
                "model.bert.encoder.layer.2.attention", "model.bert.encoder.layer.2",
            ])
        // Three layers of two; the file names no modules.
        #expect(try blocks("gpt2").map(\.name) == [String?](repeating: nil, count: 6))
    }

    @Test("of a ResNet are the residual bodies and the skip connections that have weights")
    func resNet() throws {
        let names = try blocks("resnet18").compactMap(\.name)
        #expect(names.contains("blocks.0") && names.contains { $0.hasSuffix("downsample.0") })
    }

    /// Of a branch without weights at least a thousandth of the operations; with weights at least one of them.
    @Test("save weights or a thousandth of the operations", arguments: ModelFixture.names)
    func savings(model: String) throws {
        let fixture = try ModelFixture(model)
        let shapes = try fixture.network.valueShapes(for: fixture.dataset)
        let costs = CostModel(graph: fixture.graph, shapes: shapes, samples: 1)
        let base = costs.cost(of: .empty)
        for block in try blocks(model) {
            #expect(
                block.saving.parameters > 0 || 1000 * block.saving.flops >= base.flops, "\(model) \(block)")
            let consumer = fixture.graph.vertices[block.edge.node].operation
            #expect(["Add", "Sum", "Concat", "Max", "Mean"].contains(consumer), "\(model) \(block)")
        }
    }

    @Test("are chosen by a regular expression that matches their whole name")
    func selection() throws {
        let fixture = try ModelFixture("vit")
        let all = try blocks("vit")
        let chosen = try Candidates(of: fixture.graph, selection: .matching(#"blocks\.1.*"#))
        #expect(chosen.all == all.filter { $0.name?.hasPrefix("blocks.1") ?? false }.map(\.edge))
        // Part of a name is matched with nodes, as ever.
        let nodes = try Candidates(of: fixture.graph, selection: .matching("Add"))
        #expect(nodes.all.count > all.count)
    }
}
