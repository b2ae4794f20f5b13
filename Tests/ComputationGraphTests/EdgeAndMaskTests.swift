import ComputationGraph
import Foundation
import Testing

@Suite("Edges and masks")
struct EdgeAndMaskTests {
    @Test("an edge is read from NODE:SLOT and from nothing else")
    func edgesParse() {
        #expect(Edge("12:3") == Edge(node: 12, slot: 3))
        #expect(Edge(node: 12, slot: 3).description == "12:3")
        for text in [
            "", "12", "12:", ":3", "12:3:4", "-1:0", "1:-1", "a:0", "1 :0", "1:0 ", "1.0:0",
            "99999999999999999999:0",
        ] {
            #expect(Edge(text) == nil, "\(text)")
        }
    }

    @Test("edges are ordered by node, then by slot, as numbers")
    func edgesAreOrdered() {
        let edges = ["10:0", "9:1", "9:0", "2:11", "2:2"].compactMap { Edge($0) }
        #expect(edges.sorted().map(\.description) == ["2:2", "2:11", "9:0", "9:1", "10:0"])
    }

    @Test("a mask is a set: order and repetition don't matter, and it is printed in canonical order")
    func masksAreSets() throws {
        var generator = Seeded(11)
        for _ in 0..<500 {
            let edges = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                Edge(node: .random(in: 0..<6, using: &generator), slot: .random(in: 0..<3, using: &generator))
            }
            let mask = Mask(edges)
            let set = Set(edges)
            #expect(mask == Mask(edges.shuffled(using: &generator) + edges.prefix(3)))
            #expect(mask.count == set.count && mask.isEmpty == set.isEmpty)
            #expect(edges.shuffled(using: &generator).reduce(Mask.empty) { $0.removing($1) } == mask)
            for node in 0..<6 {
                for slot in 0..<3 {
                    let edge = Edge(node: node, slot: slot)
                    #expect(mask.contains(edge) == set.contains(edge))
                    #expect(Set(mask.removing(edge).units.map(\.edge)) == set.union([edge]))
                }
            }
            #expect(mask.units.map(\.edge) == set.sorted { ($0.node, $0.slot) < ($1.node, $1.slot) })
            let decoded = try JSONDecoder().decode(Mask.self, from: JSONEncoder().encode(mask))
            #expect(decoded == mask)
        }
        #expect(Mask([Edge(node: 3, slot: 1), Edge(node: 0, slot: 2)]).description == "{0:2, 3:1}")
    }

    @Test("masks are ordered edge by edge, a shorter one before those that begin with it")
    func masksAreOrdered() {
        let masks = ["", "0:0", "0:0 1:0", "0:0 2:0", "0:1", "10:0"].map { text in
            Mask(text.split(separator: " ").compactMap { Edge(String($0)) })
        }
        #expect(masks.reversed().sorted() == masks)
    }
}
