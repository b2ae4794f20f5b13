import Foundation
import Testing

@testable import Report

@Suite struct RunSummaryTests {
    private func object(_ summary: RunSummary) throws -> [String: Any] {
        let data = Data(try JSONOutput.text(of: summary).utf8)
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private func records(_ value: Any?) throws -> [[String: Any]] { try #require(value as? [[String: Any]]) }

    @Test func theJSONHasThePromisedKeysAndNumbers() throws {
        let json = try object(sampleSummary())
        let base = try #require(json["base"] as? [String: Any])
        #expect(Set(base.keys) == ["loss", "accuracy", "parameters", "flops", "samples"])
        #expect(base["loss"] as? Double == 0.5)
        #expect(base["accuracy"] as? Double == 0.8)  // 40 of 50
        #expect(base["parameters"] as? Int == 2000)
        #expect(base["flops"] as? Int == 1_234_567)
        #expect(base["samples"] as? Int == 40)

        let path = try records(json["path"])
        #expect(path.count == 2)
        #expect(
            Set(path[0].keys) == ["step", "edge", "loss", "lossChange", "accuracy", "parameters", "flops"])
        #expect(path.map { $0["step"] as? Int } == [1, 2])
        #expect(path[0]["lossChange"] as? Double == 0.25)
        #expect(path[0]["accuracy"] as? Double == 0.6)  // 30 of 50
        let edge = try #require(path[0]["edge"] as? [String: Any])
        #expect(edge["node"] as? Int == 1)
        #expect(edge["slot"] as? Int == 1)
        #expect(edge["consumer"] as? String == "sum")
        #expect(edge["tensor"] as? String == "x")
        // 0.1 + 0.2 − 0.5 in binary64, as Python writes it.
        #expect(try JSONOutput.text(of: sampleSummary()).contains(#""lossChange" : -0.19999999999999996"#))
        #expect(path[1]["parameters"] as? Int == 1000)

        // 1+3+3, 5+10+5, 5+15+20, 5+8+4, 5+4+2.
        let work = try #require(json["work"] as? [String: Int])
        #expect(
            work == [
                "candidates": 7, "blockEvaluations": 20, "bruteForceBlockEvaluations": 40,
                "clairvoyantBlockEvaluations": 17, "tasks": 11,
            ])
        #expect(json["seconds"] as? Double == 65.25)
        #expect(json["workers"] as? Int == 4)
    }

    @Test func theJSONTellsLevelsFrontsAndSettingsToo() throws {
        let json = try object(sampleSummary())
        let levels = try records(json["levels"])
        #expect(levels.map { $0["number"] as? Int } == [0, 1, 2])
        #expect(
            try levels.map { try records($0["kept"]).map { $0["removed"] as? [String] } }
                == [[[]], [["1:1"], ["2:0"]], [["1:1", "2:0"]]])
        #expect((levels[1]["work"] as? [String: Int])?["blockEvaluations"] == 10)

        // The last state has less of everything than any other, so the fronts are it alone.
        let fronts = try #require(json["paretoFront"] as? [String: Any])
        #expect(Set(fronts.keys) == ["parameters", "flops"])
        #expect(try records(fronts["flops"]).map { $0["removed"] as? [String] } == [["1:1", "2:0"]])

        let settings = try #require(json["settings"] as? [String: Any])
        #expect(settings["strategy"] as? String == "beam:2")
        #expect(settings["objective"] as? String == "absolute")
        #expect(settings["until"] as? String == "flops=0.5")
        #expect(settings["steps"] as? Int == 2)
        #expect(settings["samples"] as? Int == 40)
        #expect(settings["blockSize"] as? Int == 8)
        #expect(settings["shards"] as? Int == 2)
        #expect(json["loss"] as? String == "cross-entropy")
    }

    @Test func aFrontListsTheStatesThatNoOtherBeatsFromTheFullModelDown() throws {
        // With a last loss of 2: by parameters 2000/0.5, 1500/0.75, 1000/2; 1800/1.0 is beaten by 1500/0.75.
        // By operations 1,234,567/0.5, 1,000,000/0.75, 900,000/1.0, 500,000/2.
        let summary = try sampleSummary(last: 2)
        #expect(summary.parameterFront.map(\.loss) == [0.5, 0.75, 2])
        #expect(summary.flopsFront.map(\.loss) == [0.5, 0.75, 1, 2])
    }

    @Test func machinesWithOtherBitsAreNamedAndTheProofSaysWhatTheyMean() throws {
        #expect(try object(sampleSummary())["mixedNumerics"] == nil)
        #expect(try !SummaryText(sampleSummary()).plain.contains("last bits"))
        let mixed = try sampleSummary(mixed: ["attic: an abacus", "cellar: a loom"])
        #expect(try object(mixed)["mixedNumerics"] as? [String] == ["attic: an abacus", "cellar: a loom"])
        let text = SummaryText(mixed).plain
        let exactness = try #require(text.range(of: "Exactness"))
        let work = try #require(text.range(of: "\nWork\n"))
        let section = text[exactness.upperBound..<work.lowerBound]
        #expect(section.contains("differ in the last bits (--allow-mixed-numerics)"))
        #expect(section.contains("\n  attic: an abacus\n  cellar: a loom\n"))
    }

    @Test func withoutLabelsAccuracyIsNull() throws {
        let json = try object(sampleSummary(labels: nil))
        let base = try #require(json["base"] as? [String: Any])
        #expect(base["accuracy"] is NSNull)
        #expect(try records(json["path"]).allSatisfy { $0["accuracy"] is NSNull })
    }

    @Test func aLossThatIsNoNumberIsNullAndMarked() throws {
        let json = try object(sampleSummary(last: .infinity, nonFinite: 3))
        let path = try records(json["path"])
        #expect(path[1]["loss"] is NSNull)
        #expect(path[1]["lossChange"] is NSNull)
        #expect(path[1]["finite"] as? Bool == false)
        #expect(path[1]["nonFiniteLosses"] as? Int == 3)
        #expect(path[0]["finite"] == nil)
        #expect(path[0]["nonFiniteLosses"] == nil)
    }

    @Test func doublesBringEveryBitBack() throws {
        let values = [
            0.1 + 0.2, 1.0 / 3, Double.leastNonzeroMagnitude, .greatestFiniteMagnitude, .pi, 1e23,
            9_007_199_254_740_992,
            Double.leastNormalMagnitude.nextDown, 0.5.nextUp, 1, 123_456_789.125,
        ]
        for value in values {
            let text = try JSONOutput.text(of: sampleSummary(last: value))
            // Read back by the C library, not by the JSON library that wrote it.
            let field = try #require(
                text.firstMatch(of: /"path"[\s\S]*?"step" : 1[\s\S]*?"loss" : ([^,\s]+),/))
            #expect(strtod(String(field.1), nil).bitPattern == value.bitPattern, "\(value) as \(field.1)")
        }
    }
}
