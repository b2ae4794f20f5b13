import Testing
import Variants

@Suite("Text forms")
struct TextFormTests {
    static let units: [Unit] = {
        let edges = [Edge(node: 0, slot: 0), Edge(node: 12, slot: 1), Edge(node: 31, slot: 0)]
        let ranges: [Slice.Positions?] = [
            nil, Slice.Positions(axis: 1, bounds: 0..<8), Slice.Positions(axis: 1, bounds: 8..<16),
            Slice.Positions(axis: 2, bounds: 3..<4), Slice.Positions(axis: 1, ascending: [0, 1, 5]),
        ]
        return edges.flatMap { edge in
            Unit.Kind.allCases.flatMap { kind in
                ranges.flatMap { range in
                    Replacement.allCases.map {
                        Unit(kind, root: Slice(edge, positions: range), replacement: $0)
                    }
                }
            }
        }
    }()

    @Test func everyUnitReadsBack() {
        for unit in Self.units { #expect(Unit(unit.description) == unit) }
        #expect(Set(Self.units.map(\.description)).count == Self.units.count)
    }

    @Test(arguments: [
        ("31:0", Unit(Edge(node: 31, slot: 0))),
        ("31:0=mean", Unit(Edge(node: 31, slot: 0), replacement: .mean)),
        ("layer@12:0=bypass", .layer(at: Edge(node: 12, slot: 0), replacement: .bypass)),
        (
            "31:0[1:8..<16]",
            Unit(root: Slice(Edge(node: 31, slot: 0), positions: Slice.Positions(axis: 1, bounds: 8..<16)))
        ),
        (
            "channels@31:0[1:0..<2+5..<6]",
            Unit(
                .channels,
                root: Slice(
                    Edge(node: 31, slot: 0), positions: Slice.Positions(axis: 1, ascending: [0, 1, 5])))
        ),
    ])
    func unitsAreWrittenAsDocumented(text: String, unit: Unit) {
        #expect(unit.description == text)
        #expect(Unit(text) == unit)
    }

    @Test(arguments: [
        "", "31", "31:", ":0", "31:0=", "31:0=zero", "31:0=nothing", "edge@31:0", "thing@31:0",
        "31:0[1:8..16]",
        "31:0[1:8..<8]", "31:0[1:9..<8]", "31:0[-1:0..<8]", "31:0[1]", "31:0]", "[1:0..<8]", "31:0 ", " 31:0",
        "-1:0", "31:0[1:0..<2+]", "31:0[1:0..<2+2..<3]", "31:0[1:4..<5+0..<2]",
    ])
    func whatIsNoUnitIsNotRead(text: String) { #expect(Unit(text) == nil) }

    @Test func unitsHaveATotalOrder() {
        let sorted = Self.units.shuffled().sorted()
        for (left, right) in zip(sorted, sorted.dropFirst()) {
            #expect(left < right)
            #expect(!(right < left))
        }
        #expect(sorted == Self.units.sorted())
    }

    @Test func masksReadBackAndAreCanonical() {
        var random = SystemRandomNumberGenerator()
        for count in 0..<20 {
            let units = Self.units.shuffled(using: &random).prefix(count)
            let mask = Mask(units)
            #expect(mask == Mask(units.reversed()))
            #expect(Mask(mask.description) == mask)
            #expect(mask.units == units.sorted())
            for unit in units {
                #expect(mask.contains(unit))
                #expect(mask.keeping(unit).removing(unit) == mask)
            }
        }
        #expect(Mask("{}") == .empty)
    }

    @Test(arguments: ["", "{", "}", "{1:0", "{1:0 2:0}", "{2:0, 1:0}", "{1:0, 1:0}", "{1:0,}", "{,}"])
    func whatIsNoMaskIsNotRead(text: String) { #expect(Mask(text) == nil) }

    @Test func variantsAreEqualExactlyWhenMaskWeightsAndRecoveryAre() throws {
        let masks = [Mask.empty, Mask([Unit(Edge(node: 1, slot: 0))])]
        let weights = [
            nil, WeightsID(sha256: (0..<32).map { $0 }, size: 70),
            WeightsID(sha256: (1..<33).map { $0 }, size: 70),
        ]
        let variants = masks.flatMap { mask in weights.map { Variant(mask, weights: $0) } }
        #expect(Set(variants).count == 6)
        for variant in variants { #expect(Variant(variant.description) == variant) }
        #expect(variants[0].description == "{}")
        let last = try #require(variants.last)
        #expect(last.description.hasPrefix("{1:0} weights=0102030405"))
        for text in [
            "{} ", "{}weights=00", "{} weights=00", "{} weights=00:1", "{} recover=none", "{} recover=other",
            "{} x",
        ] {
            #expect(Variant(text) == nil)
        }
    }
}
