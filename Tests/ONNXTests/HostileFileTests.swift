import Foundation
import Glibc
import ONNX
import Testing

/// Files that a stranger could send: each is a clear error, none a crash or an absurd allocation.
@Suite("Hostile files", .timeLimit(.minutes(1)))
struct HostileFileTests {
    let relu = NodeProto("Relu", inputs: ["x"], outputs: ["y"], name: "r")

    private func error(_ model: ModelProto, folder: String? = nil) -> String? {
        let error = #expect(throws: ModelError.self) { try read(model, folder: folder) }
        return error?.description
    }

    @Test("paths that are no model")
    func noModel() throws {
        for path in ["/nonexistent.onnx", "/dev/zero", "/", "/proc/self/mem"] {
            #expect(throws: ModelError.self) { try ModelFile(contentsOf: path) }
        }
        let missing = #expect(throws: ModelError.self) { try ModelFile(contentsOf: "/nonexistent.onnx") }
        #expect(missing?.description == "/nonexistent.onnx: cannot be opened: no such file or directory.")
        try Fixtures.withFolder { folder in
            let pipe = folder + "/pipe"
            #expect(mkfifo(pipe, 0o600) == 0)
            #expect(throws: ModelError.self) { try ModelFile(contentsOf: pipe) }
            // sparse: 3 GiB without a byte on the disk
            let huge = folder + "/huge.onnx"
            #expect(FileManager.default.createFile(atPath: huge, contents: nil))
            #expect(truncate(huge, 3 << 30) == 0)
            let error = #expect(throws: ModelError.self) { try ModelFile(contentsOf: huge) }
            #expect(error?.description.contains("2 GiB") == true)
        }
    }

    @Test("bytes that are no model")
    func noMessage() {
        let cases: [[UInt8]] = [
            [], [0], [0xFF], Array("<html>".utf8), [8],
            // 2 GiB of graph
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07],
            [0x3A, 0x05, 0x2A, 0x03, 0x4A, 0xFF, 0x7F], [8, 10], [8, 10, 0x42, 2, 16, 18],
            // groups within groups
            Array(repeating: 0x0B, count: 10_000),
            Array(repeating: 0x80, count: 1000),
        ]
        for bytes in cases {
            #expect(throws: ModelError.self) { try ModelFile(serializedBytes: Data(bytes)) }
        }
    }

    @Test("every beginning of a file is an error or a model, never a crash")
    func truncated() throws {
        for name in ["functions.onnx", "subgraphs.onnx", "sparse.onnx"] {
            let bytes = try Fixtures.data(name)
            var accepted = 0
            for count in 0..<bytes.count {
                if (try? ModelFile(serializedBytes: bytes.prefix(count))) != nil { accepted += 1 }
            }
            // Cuts between the model's last fields are models in their own right.
            #expect(accepted < 10, "\(name)")
        }
    }

    @Test("versions that Espalier does not read")
    func versions() {
        var noVersion = model([relu])
        noVersion.clearIrVersion()
        #expect(error(noVersion) == "test.onnx: is not an ONNX model: it has no IR version.")
        var newFormat = model([relu])
        newFormat.irVersion = 99
        #expect(error(newFormat)?.contains("IR version 99") == true)
        var newSet = model([relu])
        newSet.opsetImport[0].version = 29
        #expect(
            error(newSet)
                == "test.onnx: uses version 29 of the ai.onnx operator set; Espalier reads 1 to 28.")
        var noSet = model([relu])
        noSet.opsetImport = []
        #expect(error(noSet)?.contains("names no version") == true)
        var twice = model([relu])
        twice.opsetImport.append(OperatorSetIdProto(domain: "ai.onnx", version: 17))
        #expect(error(twice)?.contains("twice") == true)
    }

    @Test("names that are missing, twice, or in a circle")
    func names() throws {
        let undefined = NodeProto("Add", inputs: ["x", "w"], outputs: ["y"], name: "sum")
        #expect(
            error(model([undefined]))
                == #"test.onnx, node 0 (Add "sum"), input 1: reads "w", which nothing defines."#)
        #expect(error(model([relu, relu]))?.contains("node 1 (Relu \"r\"), output \"y\"") == true)
        #expect(
            error(model([relu], outputs: ["z"]))?.contains(#"output "z": is computed by nothing"#) == true)
        let w = try vector("w", [1])
        #expect(
            error(model([relu], initializers: [w, w]))?.contains(#"initializer "w": is there twice"#) == true)
        let itself = NodeProto("Add", inputs: ["x", "y"], outputs: ["y"])
        #expect(error(model([itself]))?.contains("depends on its own output") == true)
        let circle = [
            NodeProto("Add", inputs: ["x", "b"], outputs: ["a"]),
            NodeProto("Relu", inputs: ["a"], outputs: ["b"]),
            NodeProto("Neg", inputs: ["b"], outputs: ["y"]),
        ]
        #expect(error(model(circle))?.contains("depends on its own output") == true)
        var operation = relu
        operation.clearOpType()
        #expect(error(model([operation]))?.contains("has no operator") == true)
    }

    @Test("a circle through what a subgraph captures")
    func captureCircle() {
        var body = GraphProto()
        body.node = [NodeProto("Relu", inputs: ["y"], outputs: ["t"])]
        body.output = [ValueInfoProto(name: "t", .float32, shape: nil)]
        let node = NodeProto(
            "If", inputs: ["x"], outputs: ["y"],
            attributes: [AttributeProto(name: "then_branch", graph: body)])
        #expect(error(model([node]))?.contains("depends on its own output") == true)
        body.node[0].input = ["nowhere"]
        let outside = NodeProto(
            "If", inputs: ["x"], outputs: ["y"],
            attributes: [AttributeProto(name: "then_branch", graph: body)])
        #expect(
            error(model([outside]))
                == #"test.onnx, node 0 (If), attribute "then_branch", node 0 (Relu), input 0: reads "nowhere", "#
                + "which nothing defines.")
    }

    @Test("subgraphs nested without end")
    func nesting() throws {
        var graph = model([relu]).graph
        for _ in 0..<500 {
            var outer = GraphProto()
            outer.node = [
                NodeProto(
                    "If", inputs: [], outputs: ["y"], attributes: [AttributeProto(name: "b", graph: graph)])
            ]
            graph = outer
        }
        var nested = model([relu])
        nested.graph = graph
        #expect(error(nested)?.contains("nested more than 100 deep") == true)
        #expect(throws: ModelError.self) { try ModelFile(unchecked: nested).check() }
    }

    @Test("tensors whose shape and bytes disagree, before anything is allocated")
    func shapes() throws {
        let shapes: [[Int64]] = [
            [-1], [3], [1 << 40, 1 << 40], [Int64.max, 2], [0, 1 << 40, 1 << 40], [1 << 60], [],
        ]
        for dims in shapes {
            var tensor = try vector("w", [1, 2])
            tensor.dims = dims
            #expect(
                error(model([relu], initializers: [tensor]))?.contains(#"initializer "w""#) == true, "\(dims)"
            )
            #expect(throws: ModelError.self) { try TensorData(tensor) }
        }
        var claim = TensorProto()
        claim.name = "w"
        claim.dataType = 1
        claim.dims = [1 << 29]  // 2 GiB in a file of 100 bytes
        #expect(error(model([relu], initializers: [claim]))?.contains("needs 536870912") == true)
        var both = try vector("w", [1])
        both.floatData = [1]
        #expect(error(model([relu], initializers: [both]))?.contains("both") == true)
        var unknown = try vector("w", [1])
        unknown.dataType = 77
        #expect(error(model([relu], initializers: [unknown]))?.contains("element type 77") == true)
        var wrong = TensorProto()
        wrong.name = "w"
        wrong.dataType = Int32(ElementType.int8.rawValue)
        wrong.dims = [1]
        wrong.int32Data = [300]
        #expect(throws: ModelError.self) { try TensorData(wrong) }
        var declared = model([relu])
        declared.graph.input[0].type.tensorType.shape.dim[0].dimValue = -3
        #expect(error(declared) == #"test.onnx, input "x": has a dimension of -3."#)
    }

    @Test("sparse tensors that would fill the memory, or lie outside their shape")
    func sparse() throws {
        func sparse(_ positions: [Int64], dims: [Int64]) throws -> ModelProto {
            var tensor = SparseTensorProto()
            tensor.values = try vector("w", positions.map { Float($0) })
            tensor.indices = TensorProto(
                name: "", try TensorData(int64s: positions, shape: [positions.count]))
            tensor.dims = dims
            var model = model([relu])
            model.graph.sparseInitializer = [tensor]
            return model
        }
        #expect(error(try sparse([0], dims: [1 << 40]))?.contains("too sparse") == true)
        #expect(error(try sparse([7], dims: [7]))?.contains("outside its shape") == true)
        #expect(error(try sparse([-1], dims: [7]))?.contains("outside its shape") == true)
        #expect(error(try sparse([3, 3], dims: [7]))?.contains("ascend") == true)
        #expect(try read(sparse([3, 6], dims: [7])).model.graph.initializer.count == 1)
    }

    @Test("external data outside the folder, by path or by link, or of another size")
    func externalData() throws {
        func external(_ entries: [String: String], dims: [Int64] = [4]) -> ModelProto {
            var tensor = TensorProto()
            tensor.name = "w"
            tensor.dataType = 1
            tensor.dims = dims
            tensor.dataLocation = .external
            tensor.externalData = entries.map { key, value in
                var entry = StringStringEntryProto()
                entry.key = key
                entry.value = value
                return entry
            }
            return model([relu], initializers: [tensor])
        }
        try Fixtures.withFolder { outside in
            let folder = outside + "/model"
            try FileManager.default.createDirectory(
                atPath: folder + "/sub", withIntermediateDirectories: true)
            let secret = Data(repeating: 1, count: 16)
            for path in [outside + "/secret", folder + "/weights", folder + "/sub/weights"] {
                try secret.write(to: URL(filePath: path))
            }
            #expect(symlink(outside + "/secret", folder + "/link") == 0)
            #expect(symlink(outside, folder + "/sub/up") == 0)
            #expect(symlink("weights", folder + "/inside") == 0)
            for location in ["weights", "sub/weights", "inside", "./weights"] {
                let file = try read(
                    external(["location": location, "offset": "0", "length": "16"]), folder: folder)
                #expect(file.model.graph.initializer[0].rawData == secret, "\(location)")
            }
            let locations = [
                "../secret", "sub/../../secret", outside + "/secret", "link", "sub/up/secret", "", "missing",
                "sub",
                "/etc/passwd", "weights\0", "..", ".",
            ]
            for location in locations {
                let problem = error(external(["location": location]), folder: folder)
                #expect(problem?.contains(#"tensor "w""#) == true, "\(location)")
            }
            #expect(error(external(["location": "link"]), folder: folder)?.contains("leads out") == true)
            let sizes: [[String: String]] = [
                ["offset": "8"], ["offset": "8", "length": "16"], ["length": "8"], ["length": "-16"],
                ["offset": "x"],
                ["offset": "\(Int.max)", "length": "16"], ["offset": "99999999999999999999"],
            ]
            for entries in sizes {
                let problem = error(
                    external(entries.merging(["location": "weights"]) { $1 }), folder: folder)
                #expect(problem?.contains(#"tensor "w""#) == true, "\(entries)")
            }
            #expect(error(external(["location": "weights"], dims: [1 << 40]), folder: folder) != nil)
            #expect(error(external(["location": "weights"])) != nil)  // from memory: there is no folder
        }
    }

    @Test("many tensors over one small file cannot fill the memory")
    func overlappingExternalData() throws {
        try Fixtures.withFolder { folder in
            try Data(count: 1 << 20).write(to: URL(filePath: folder + "/weights"))
            var model = model([relu])
            for index in 0..<2000 {
                var tensor = TensorProto()
                tensor.name = "w\(index)"
                tensor.dataType = Int32(ElementType.uint8.rawValue)
                tensor.dims = [(1 << 20) - 2000]
                tensor.dataLocation = .external
                for (key, value) in [
                    ("location", "weights"), ("offset", "\(index)"), ("length", "\(tensor.dims[0])"),
                ] {
                    var entry = StringStringEntryProto()
                    entry.key = key
                    entry.value = value
                    tensor.externalData.append(entry)
                }
                model.graph.initializer.append(tensor)
            }
            #expect(error(model, folder: folder)?.contains("overlaps") == true)
        }
    }

    @Test("names from a file are escaped and cut in errors")
    func names120() {
        let node = NodeProto(
            "Relu", inputs: ["\u{1B}[2J\n" + String(repeating: "a", count: 10_000)], outputs: ["y"])
        let problem = error(model([node]))
        #expect((problem?.count ?? 10_000) < 300)
        #expect(problem?.unicodeScalars.allSatisfy { $0.value >= 32 } == true)
    }
}
