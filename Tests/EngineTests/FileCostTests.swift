import ComputationGraph
import Datasets
import Engine
import Foundation
import ONNX
import Testing

@Suite("The cost of a mask")
struct FileCostTests {
    /// Masks for each model; a hundred where `ESPALIER_ALL_MASKS` is set.
    private static let masks = ProcessInfo.processInfo.environment["ESPALIER_ALL_MASKS"] == nil ? 12 : 100

    /// The file is written, read again and run: what is counted of it knows nothing of the mask.
    @Test("is that of the file that is written for it", arguments: ModelFixture.names)
    func fileCost(model: String) throws {
        let fixture = try ModelFixture(model)
        let shapes = try fixture.network.valueShapes(for: fixture.dataset)
        let costs = CostModel(graph: fixture.graph, shapes: shapes, samples: 1)
        var generator = Seeded(11)
        for _ in 0..<FileCostTests.masks {
            let mask = fixture.randomMask(.random(in: 1...6, using: &generator), using: &generator)
            let proto = try fixture.graph.materialise(mask, shapes: shapes)
            let written = try Graph(ModelFile(unchecked: proto))
            let network = try Network(written)
            let counted = CostModel(
                graph: written, shapes: try network.shapes(for: fixture.dataset, samples: [0]).values,
                samples: 1
            ).cost(of: .empty)
            #expect(costs.cost(of: mask) == counted, "\(model) without \(mask)")
        }
    }
}
