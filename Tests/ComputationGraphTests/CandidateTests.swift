import ComputationGraph
import Foundation
import ONNX
import Testing

/// What Scripts/reference/wiring.py works out with the onnx package, by Scripts/fixtures/make-candidate-fixtures.py.
struct Expected: Decodable {
    let candidates: [String]
    let branches: [String]
    let matching: [String: [String]]
    let parameters: Int

    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures")

    static func all() throws -> [String: Expected] {
        try JSONDecoder().decode(
            [String: Expected].self, from: Data(contentsOf: fixtures.appending(path: "candidates.json")))
    }
}

@Suite("Candidates")
struct CandidateTests {
    static let models = [
        "bert", "convnext-tiny", "densenet", "efficientnet-b0", "gpt2", "lstm", "mobilenetv3-small",
        "resnet18",
        "squeezenet", "swin", "unet", "vit",
    ]

    @Test(
        "of the reference models are those that the onnx package's view of the file gives", arguments: models)
    func agreeWithReference(model: String) throws {
        let expected = try #require(try Expected.all()[model])
        let graph = try Graph(
            ModelFile(contentsOf: Expected.fixtures.appending(path: "models/\(model).onnx").path))
        func edges(_ selection: CandidateSelection) throws -> [String] {
            try Candidates(of: graph, selection: selection).all.map(\.description)
        }
        #expect(try edges(.all) == expected.candidates)
        #expect(try edges(.branches) == expected.branches)
        for (pattern, matching) in expected.matching {
            if matching.isEmpty {
                #expect(throws: GraphError.self) { try edges(.matching(pattern)) }
            } else {
                #expect(try edges(.matching(pattern)) == matching, "\(pattern)")
            }
        }
        let some = expected.candidates.enumerated().filter { $0.offset % 3 == 0 }.compactMap {
            Edge($0.element)
        }
        #expect(try edges(.edges(some.reversed())) == some.map(\.description))

        let costs = CostModel(graph: graph, shapes: graph.values.map { $0.constant?.shape }, samples: 1)
        #expect(costs.cost(of: .empty).parameters == expected.parameters)
    }

    @Test(
        "come in classes with one representative each, the first; members never stand alone",
        arguments: models)
    func classesPartition(model: String) throws {
        let graph = try Graph(
            ModelFile(contentsOf: Expected.fixtures.appending(path: "models/\(model).onnx").path))
        let candidates = try Candidates(of: graph, selection: .all)
        #expect(candidates.representatives == candidates.representatives.sorted())
        #expect(Set(candidates.all).count == candidates.all.count)
        for (representative, others) in candidates.equivalents {
            #expect(candidates.representatives.contains(representative))
            #expect(others == others.sorted() && others.allSatisfy { representative < $0 })
        }
    }

    @Test("that don't exist are refused in a sentence that says why")
    func refusals() throws {
        let graph = try Graph(
            ModelFile(contentsOf: Expected.fixtures.appending(path: "models/resnet18.onnx").path))
        func message(_ selection: CandidateSelection) -> String {
            do { return "\(try Candidates(of: graph, selection: selection).all)" } catch { return "\(error)" }
        }
        #expect(
            message(.edges([Edge(node: 49, slot: 0)]))
                == "edge 49:0 cannot be removed: the model has 49 nodes, numbered from 0")
        #expect(message(.edges([Edge(node: 0, slot: 7)])).contains("edge 0:7 cannot be removed: node 0"))
        #expect(
            message(.edges([Edge(node: 0, slot: 1)])).contains(
                "no floating-point value that depends on a model input"))
        #expect(message(.matching("(")).contains("'(' is no regular expression"))
        #expect(
            message(.matching("nothing like it"))
                == "no candidate edge matches 'nothing like it', and it is none of blocks, branches and all")
    }
}
