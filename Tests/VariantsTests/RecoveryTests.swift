import Foundation
import Testing
import Variants

@Suite("A recovery")
struct RecoveryTests {
    static let all: [Recovery] = {
        let rungs: [Set<Recovery.Rung>] = [[], [.leastSquares], [.norm], [.leastSquares, .norm]]
        return rungs.flatMap { rungs in
            [nil, 0, 1e-3, 0.1, 1, 1e300, .leastNonzeroMagnitude].flatMap { ridge in
                [1, Recovery.usualRowsPerFeature, 16, 1_000_000].map {
                    Recovery(rungs, ridge: ridge, rowsPerFeature: $0)
                }
            }
        }
    }()

    @Test func readsBackFromItsText() {
        for recovery in Self.all { #expect(Recovery(recovery.description) == recovery) }
        // Of nothing there is one, whatever its settings; of the others as many as there are settings.
        #expect(Set(Self.all).count == 1 + 3 * 7 * 4)
        #expect(Set(Self.all.map(\.description)).count == Set(Self.all).count)
    }

    @Test(arguments: [
        ("none", Recovery.none),
        ("least-squares", Recovery([.leastSquares])),
        ("norm,least-squares", Recovery([.leastSquares, .norm])),
        ("least-squares,ridge=0.001", Recovery([.leastSquares], ridge: 1e-3)),
        ("norm,ridge=0.5,rows=64", Recovery([.norm], ridge: 0.5, rowsPerFeature: 64)),
    ])
    func isWrittenAsDocumented(text: String, recovery: Recovery) {
        #expect(recovery.description == text)
        #expect(Recovery(text) == recovery)
    }

    @Test("has one text where it is written in several ways")
    func isCanonical() {
        for text in [
            "ridge=1e-3,least-squares,norm", "least-squares,norm,ridge=0.001,rows=8",
            "norm,ridge=.001,least-squares",
        ] {
            #expect(Recovery(text)?.description == "norm,least-squares,ridge=0.001", "\(text)")
        }
        #expect(Recovery("least-squares,ridge=-0")?.description == "least-squares,ridge=0.0")
        #expect(Recovery([.norm], ridge: -0.0).description == "norm,ridge=0.0")
    }

    @Test(arguments: [
        "", ",", "None", "none,norm", "norm,none", "none,ridge=1", "mean", "least squares", "least-squares,",
        ",norm", "norm,norm", "ridge=1", "rows=8", "norm,ridge=", "norm,ridge=-1", "norm,ridge=nan",
        "norm,ridge=inf", "norm,ridge=1,ridge=1", "norm,rows=0", "norm,rows=-4", "norm,rows=1.5",
        "norm,rows=99999999999999999999", "norm,rows=8,rows=8", "norm ", " norm", "norm,ridge=1 ", "norm,x=1",
    ])
    func thatIsNoneIsNotRead(text: String) { #expect(Recovery(text) == nil) }

    @Test("is kept as its text, and rubbish in its place is refused with a sentence")
    func isCoded() throws {
        for recovery in Self.all {
            let coded = try JSONEncoder().encode([recovery])
            #expect(try JSONDecoder().decode([String].self, from: coded) == [recovery.description])
            #expect(try JSONDecoder().decode([Recovery].self, from: coded) == [recovery])
        }
        do {
            _ = try JSONDecoder().decode([Recovery].self, from: Data(#"["rubbish"]"#.utf8))
            Issue.record("no error")
        } catch DecodingError.dataCorrupted(let context) {
            #expect(context.debugDescription == "'rubbish' is no text of a Recovery")
        }
    }

    @Test("is a part of a variant: it reads back, tells variants apart and goes along with further removals")
    func variants() throws {
        let units = [Unit(Edge(node: 1, slot: 0)), Unit(Edge(node: 12, slot: 1), replacement: .mean)]
        let masks = [Mask.empty, Mask([units[0]]), Mask(units)]
        let weights = [nil, WeightsID(sha256: (0..<32).map { $0 }, size: 70)]
        let variants = masks.flatMap { mask in
            weights.flatMap { weights in
                Set(Self.all).map { Variant(mask, weights: weights, recovery: $0) }
            }
        }
        #expect(
            Set(variants).count == variants.count && Set(variants.map(\.description)).count == variants.count)
        for variant in variants { #expect(Variant(variant.description) == variant) }
        let variant = Variant(masks[1], recovery: Recovery([.leastSquares], ridge: 0.01))
        #expect(variant.description == "{1:0} recover=least-squares,ridge=0.01")
        #expect(variant.removing(units[1]).description == "{1:0, 12:1=mean} recover=least-squares,ridge=0.01")
    }

    @Test(arguments: [
        "{} recover=", "{} recover=none", "{} recover=rubbish", "{} recover=norm,", "{}recover=norm",
        "{} recover=norm recover=norm", "{}  recover=norm", "{} recover=norm ", "{} recover=norm weights=00",
    ])
    func thatIsNoneMakesNoVariant(text: String) { #expect(Variant(text) == nil) }
}
