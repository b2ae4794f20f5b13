import Foundation
import ONNX
import Testing

@Suite("Functions are inlined")
struct FunctionInliningTests {
    @Test("as onnx.inliner does it, but for the new names")
    func agreesWithReference() throws {
        let ours = try Fixtures.model("functions.onnx").model
        let reference = try Fixtures.model("functions.inlined.onnx").model
        #expect(ours.functions.isEmpty)
        #expect(canonical(ours.graph) == canonical(reference.graph))
        // Counted in onnx.printer's text: 20 nodes, one output, two branches of title, node and output.
        #expect(canonical(ours.graph).count == 27)
    }

    /// One line for a node: operator, attributes, and values by the order of their definition.
    private func canonical(_ graph: GraphProto, outer: [String: String] = [:]) -> [String] {
        var names = outer
        for value in graph.input { names[value.name] = "input \(value.name)" }
        for value in graph.initializer { names[value.name] = "initializer \(value.name)" }
        var lines: [String] = []
        for node in graph.node {
            // What an optional input that is left out at the end says is nothing.
            var inputs = node.input.map { $0.isEmpty ? "-" : names[$0] ?? "undefined \($0)" }
            while inputs.last == "-" { inputs.removeLast() }
            for name in node.output where !name.isEmpty { names[name] = "value \(names.count)" }
            let attributes = node.attribute.sorted { $0.name < $1.name }
            let plain = attributes.filter { !$0.hasG }.map { "\($0.name)=\($0.f)/\($0.i)/\($0.refAttrName)" }
            lines.append("\(node.opType) \(inputs) \(node.output.map { names[$0] ?? "-" }) \(plain)")
            for attribute in attributes where attribute.hasG {
                lines.append("\(attribute.name): \(attribute.g.output.count)")
                lines += canonical(attribute.g, outer: names)
            }
        }
        return lines + graph.output.map { names[$0.name] ?? "undefined \($0.name)" }
    }

    private func function(
        _ name: String, inputs: [String] = ["a"], outputs: [String] = ["b"], _ nodes: [NodeProto]
    ) -> FunctionProto {
        var function = FunctionProto()
        function.domain = "local"
        function.name = name
        function.input = inputs
        function.output = outputs
        function.node = nodes
        function.opsetImport = [
            OperatorSetIdProto(domain: "", version: 18), OperatorSetIdProto(domain: "local", version: 1),
        ]
        return function
    }

    private func call(_ name: String, _ input: String = "x", _ output: String = "y") -> NodeProto {
        NodeProto(name, inputs: [input], outputs: [output], domain: "local")
    }

    @Test("an attribute that the call leaves out is the function's default, or left out where there is none")
    func attributeDefaults() throws {
        // ONNX, docs/IR.md: "attribute_proto: attributes with default values".
        var referring = AttributeProto()
        referring.name = "alpha"
        referring.type = .float
        referring.refAttrName = "slope"
        let body = NodeProto("LeakyRelu", inputs: ["a"], outputs: ["b"], attributes: [referring])
        var withDefault = function("F", [body])
        withDefault.attributeProto = [AttributeProto(name: "slope", float: 0.25)]
        let inlined = try read(model([call("F")], functions: [withDefault])).model.graph.node
        #expect(inlined.map(\.opType) == ["LeakyRelu"])
        #expect(try inlined[0].float("alpha") == 0.25)
        #expect(inlined[0].attribute[0].refAttrName.isEmpty)

        var without = function("F", [body])
        without.attribute = ["slope"]
        let bare = try read(model([call("F")], functions: [without])).model.graph.node
        #expect(bare[0].attribute.isEmpty)
    }

    @Test("an attribute of another type than the function's is an error that names it")
    func attributeType() throws {
        var referring = AttributeProto()
        referring.name = "alpha"
        referring.type = .float
        referring.refAttrName = "slope"
        let body = NodeProto("LeakyRelu", inputs: ["a"], outputs: ["b"], attributes: [referring])
        var node = call("F")
        node.attribute = [AttributeProto(name: "slope", int: 1)]
        let error = #expect(throws: ModelError.self) {
            try read(model([node], functions: [function("F", [body])]))
        }
        #expect(error?.field == "attribute \"slope\"")
    }

    @Test("an output that is an input becomes an Identity")
    func outputIsInput() throws {
        let through = function("F", outputs: ["a", "c"], [NodeProto("Neg", inputs: ["a"], outputs: ["c"])])
        let node = NodeProto("F", inputs: ["x"], outputs: ["y", "z"], domain: "local")
        let graph = try read(model([node], functions: [through], outputs: ["y", "z"])).model.graph
        #expect(graph.node.map(\.opType) == ["Neg", "Identity"])
        #expect(graph.node[1].input == ["x"] && graph.node[1].output == ["y"])
    }

    @Test("new names avoid those of the graph, even where the graph has ours")
    func collisions() throws {
        let f = function(
            "F",
            [
                NodeProto("Relu", inputs: ["a"], outputs: ["t"]),
                NodeProto("Neg", inputs: ["t"], outputs: ["b"]),
            ])
        let taken = NodeProto("Abs", inputs: ["x"], outputs: ["F/t"])
        let graph = try read(
            model([taken, call("F", "x", "m"), call("F", "m", "y")], functions: [f], outputs: ["y", "F/t"])
        ).model.graph
        #expect(graph.node.map(\.opType) == ["Abs", "Relu", "Neg", "Relu", "Neg"])
        #expect(Set(graph.node.flatMap(\.output)).count == 5)
    }

    @Test("nodes keep different names, as runtimes want them, where a function is called twice")
    func nodeNames() throws {
        let f = function("F", [NodeProto("Relu", inputs: ["a"], outputs: ["b"], name: "relu")])
        let graph = try read(model([call("F", "x", "m"), call("F", "m", "y")], functions: [f])).model.graph
        #expect(graph.node.map(\.name) == ["F/relu", "F/relu_1"])
    }

    @Test("operator sets that only functions use are imported")
    func operatorSets() throws {
        var f = function("F", [NodeProto("Gelu", inputs: ["a"], outputs: ["b"], domain: "com.microsoft")])
        f.opsetImport.append(OperatorSetIdProto(domain: "com.microsoft", version: 1))
        let file = try read(model([call("F")], functions: [f]))
        #expect(file.operatorSet(of: "com.microsoft") == 1)
        #expect(file.operatorSet == 18)
    }

    @Test("functions that call themselves, directly or through another, are an error")
    func recursion() throws {
        let direct = function("F", [call("F", "a", "b")])
        let through = [function("F", [call("G", "a", "b")]), function("G", [call("F", "a", "b")])]
        for functions in [[direct], through] {
            let error = #expect(throws: ModelError.self) {
                try read(model([call("F")], functions: functions))
            }
            #expect(error?.description.contains("calls itself") == true)
        }
    }

    @Test("functions that double at every level are refused, not expanded", .timeLimit(.minutes(1)))
    func doubling() throws {
        // 2^40 nodes from a file of a few kilobytes.
        let functions = (0..<40).map { level in
            function(
                "F\(level)",
                level == 39
                    ? [NodeProto("Relu", inputs: ["a"], outputs: ["b"])]
                    : [call("F\(level + 1)", "a", "t"), call("F\(level + 1)", "t", "b")])
        }
        let error = #expect(throws: ModelError.self) { try read(model([call("F0")], functions: functions)) }
        #expect(error?.kind == .unsupported)
    }
}
