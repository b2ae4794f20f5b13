import Foundation
import ONNX
import Testing

@testable import ComputationGraph

@Suite("Operator facts") struct OperatorFactsTests {
    /// Source files that may decide by an operator's name, and why.
    private static let exceptions = [
        // The families: one description per operator, and one kernel.
        "ComputationGraph/Operators/", "Engine/Operators/",
        // Layers that are computed together are found by the operators that make them up.
        "Engine/Fusion/",
        // An output's form is found by the operators at the end of the model.
        "Engine/Losses/",
    ]

    @Test("no source file outside the operator families decides by an operator's name")
    func namesStandInFamilies() throws {
        let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        var found: [String] = []
        var read = 0
        for target in ["ComputationGraph", "Engine"] {
            let folder = package.appending(path: "Sources/\(target)")
            let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
            while let file = files?.nextObject() as? URL {
                guard file.pathExtension == "swift" else { continue }
                let name = file.path.replacing(package.path + "/Sources/", with: "")
                if Self.exceptions.contains(where: name.hasPrefix) { continue }
                read += 1
                found += decisions(in: try String(contentsOf: file, encoding: .utf8)).map { "\(name): \($0)" }
            }
        }
        #expect(read > 40)
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
    }

    @Test("the search for decisions by name finds each way to write one, and no node that is emitted")
    func findsDecisions() {
        let some = [
            #"if vertex.operation == "Conv" { }"#, #"where node.opType != "Shape""#,
            "switch vertex.operation {", "switch node.opType {", "if joins.contains(vertex.operation) {",
            #"static let joins: Set<String> = ["Add"]"#, #"pattern.producer(value, "MatMul")"#,
        ]
        for line in some { #expect(!decisions(in: line).isEmpty, "\(line)") }
        let none = [
            #"emit("Expand", [name, shape], output: x)"#, "emit(\n    \"Concat\", parts)",
            #"emitSize("Add", [size])"#, #"/// such as "Conv"."#,
        ]
        for line in none { #expect(decisions(in: line).isEmpty, "\(line)") }
    }

    /// What in a source file looks like a decision by an operator's name.
    private func decisions(in source: String) -> [String] {
        let code = source.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.drop(while: \.isWhitespace).hasPrefix("//") }.joined(separator: "\n")
        let patterns = [
            try? Regex(#"switch [^{\n]*(operation|opType) *\{"#),
            try? Regex(#"(operation|opType) *[!=]= *""#),
            try? Regex(#"contains\([^)\n]*(operation|opType)\)"#),
        ]
        let direct = patterns.compactMap { $0 }.flatMap { code.matches(of: $0).map { "\(code[$0.range])" } }
        // A literal that is an operator's name makes a node, or decides something.
        let rest = code.replacing(/emit(?:Size)?\(\s*"\w+"/, with: "")
        let literals = rest.matches(of: /"(\w+)"/).map { String($0.output.1) }
        return direct + literals.filter { OperatorFacts.all[$0] != nil }
    }

    @Test("an operator that nobody has described has facts that are right for every operator")
    func unknownOperator() throws {
        let facts = OperatorFacts.of("Unheard")
        let node = NodeProto("Unheard", inputs: ["x"], outputs: ["y"])
        #expect(facts.outputType(OutputTyping(node: node, inputs: [.float16], position: 0)) == .float16)
        #expect(FloatingPointOperations(node: node, inputs: [[2, 3]], output: [2, 3]).count == 6)
        #expect(facts.role == .other && facts.spoils == nil && facts.evaluation == nil)
        #expect(facts.simplifications.isEmpty && !facts.renaming.isUnconditional)
        #expect(!facts.zeroOutput.holds([true]))
    }
}
