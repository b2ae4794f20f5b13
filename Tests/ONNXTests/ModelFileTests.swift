import Foundation
import Glibc
import ONNX
import Testing

@Suite("Model files")
struct ModelFileTests {
    @Test("every fixture of the reference implementation is read")
    func readsFixtures() throws {
        for name in ["encodings", "sparse", "external", "subgraphs", "functions", "unknown-fields"] {
            let file = try Fixtures.model(name + ".onnx")
            try file.check()
            #expect(!file.model.graph.node.isEmpty)
            #expect(file.operatorSet == (name == "encodings" ? 21 : 18))
        }
    }

    @Test("a file that is read and written is the same file, unknown fields included")
    func roundTrip() throws {
        try Fixtures.withFolder { folder in
            for name in ["encodings.onnx", "subgraphs.onnx", "unknown-fields.onnx"] {
                let path = folder + "/" + name
                try Fixtures.model(name).write(to: path)
                // The standard's fields in the standard's order, as the reference implementation wrote them;
                // fields that we do not know go to their message's end.
                let ours = try Data(contentsOf: URL(filePath: path))
                let theirs = try Fixtures.data(name)
                #expect(ours.count == theirs.count, "\(name)")
                #expect(ours.sorted() == theirs.sorted(), "\(name)")
            }
            let newer = try ModelFile(contentsOf: folder + "/unknown-fields.onnx")
            let bytes = try Data(contentsOf: URL(filePath: folder + "/unknown-fields.onnx"))
            #expect(bytes.range(of: Data("two devices".utf8)) != nil)
            #expect(newer.model == (try Fixtures.model("unknown-fields.onnx").model))
        }
    }

    @Test("external data is read into the messages")
    func readsExternalData() throws {
        let graph = try Fixtures.model("external.onnx").model.graph
        // make-onnx-fixtures.py: arange(12) + k for k in 0, 100
        for (tensor, base) in zip(graph.initializer, [Float(0), 100]) {
            #expect(tensor.dataLocation == .default && tensor.externalData.isEmpty)
            #expect(try TensorData(tensor).floats == (0..<12).map { Float($0) + base })
        }
    }

    @Test("external data that is left in its file is read on demand")
    func leavesExternalData() throws {
        let file = try ModelFile(contentsOf: Fixtures.path("external.onnx"), loadingExternalData: false)
        let tensor = file.model.graph.initializer[1]
        #expect(tensor.dataLocation == .external)
        #expect(throws: ModelError.self) { try TensorData(tensor) }
        #expect(throws: ModelError.self) { try file.serialized() }
        #expect(try TensorData(tensor, folder: file.folder).floats == (0..<12).map { Float($0) + 100 })
    }

    @Test("large weights are written to a file of their own, and read back")
    func writesExternalData() throws {
        try Fixtures.withFolder { folder in
            let values = (0..<3000).map(Float.init)
            let original = model(
                [NodeProto("Add", inputs: ["x", "w"], outputs: ["y"])],
                initializers: [
                    try vector("w", values), try vector("v", [1, 2]), try vector("u", values.reversed()),
                ])
            try ModelFile(unchecked: original).write(to: folder + "/m.onnx", externalDataFrom: 10_000)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == ["m.onnx", "m.onnx.data"])
            let lazy = try ModelFile(contentsOf: folder + "/m.onnx", loadingExternalData: false).model.graph
            #expect(lazy.initializer.map(\.dataLocation) == [.external, .default, .external])
            #expect(try ModelFile(contentsOf: folder + "/m.onnx").model == original)
        }
    }

    @Test("nodes in no valid order are accepted, and the order to run them in is given")
    func topologicalOrder() throws {
        let nodes = [
            NodeProto("Neg", inputs: ["b"], outputs: ["y"]), NodeProto("Abs", inputs: ["a"], outputs: ["b"]),
            NodeProto("Relu", inputs: ["x"], outputs: ["a"]),
        ]
        #expect(try read(model(nodes)).topologicalOrder() == [2, 1, 0])
        #expect(try read(model(nodes.reversed())).topologicalOrder() == [0, 1, 2])
    }

    @Test("what a subgraph captures counts as read by its node")
    func captures() throws {
        let graph = try Fixtures.model("subgraphs.onnx").model.graph
        #expect(graph.node[1].readNames == ["c", "h"])
        var swapped = graph
        swapped.node.reverse()
        #expect(try swapped.topologicalOrder() == [1, 0])
    }

    @Test("a chain of a hundred thousand nodes in reverse needs no deep stack")
    func longChain() throws {
        let count = 100_000
        let nodes = (0..<count).map {
            NodeProto(
                "Relu", inputs: [$0 == 0 ? "x" : "v\($0)"], outputs: [$0 == count - 1 ? "y" : "v\($0 + 1)"])
        }
        let order = try ModelFile(unchecked: model(nodes.reversed())).topologicalOrder()
        #expect(order == (0..<count).reversed())
    }

    @Test("a path that cannot be written is one sentence, and leaves nothing behind")
    func unwritable() throws {
        let file = try Fixtures.model("subgraphs.onnx")
        try Fixtures.withFolder { folder in
            let missing = #expect(throws: ModelError.self) { try file.write(to: folder + "/no/m.onnx") }
            #expect(missing?.kind == .unwritable)
            #expect(
                missing?.description
                    == "\(folder)/no/m.onnx: cannot be written: there is no folder \"\(folder)/no\".")
            let isFolder = #expect(throws: ModelError.self) { try file.write(to: folder) }
            #expect(isFolder?.description == "\(folder): cannot be written: it is a folder.")
            #expect(throws: ModelError.self) { try file.write(to: "/proc/m.onnx") }
            #expect(throws: ModelError.self) { try file.write(to: "/dev/null/m.onnx") }
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left.isEmpty)
        }
    }

    @Test("a write that fails leaves the file that was there, and no other")
    func failedWriteKeepsOldFile() throws {
        try Fixtures.withFolder { folder in
            let path = folder + "/m.onnx"
            try Data("old".utf8).write(to: URL(filePath: path))
            var file = try Fixtures.model("subgraphs.onnx")
            var broken = TensorProto()
            broken.name = "w"
            broken.dims = [2048]
            broken.dataType = 1
            broken.rawData = Data(count: 4096)  // half of what its shape says
            file.model.graph.initializer.append(broken)
            #expect(throws: ModelError.self) { try file.write(to: path, externalDataFrom: 0) }
            #expect(try Data(contentsOf: URL(filePath: path)) == Data("old".utf8))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["m.onnx"])
        }
    }
}
