import Report
import Testing

@testable import Report

@Suite("A chart")
struct ChartTests {
    private let numbers = [
        ("greedy", [(100.0, 1.0), (80, 1), (50, 2)]), ("beam:2", [(100, 1), (70, 1.5), (50, 1.5), (40, 9)]),
    ]

    private func chart(prefersHigh: Bool = false, reference: (Double, String)? = nil) -> LineChart {
        let series = numbers.enumerated().map { family, line in
            LineChart.Series(
                name: line.0, points: line.1.map { LineChart.Point(x: $0, y: $1, note: "") },
                look: SeriesLook(family: family, member: 0))
        }
        return LineChart(series, x: "x", y: "y", reference: reference, prefersHigh: prefersHigh)
    }

    /// The points with rings, by place; every marker has its point's place too.
    private func rings(_ chart: LineChart) -> Int { chart.svg.matches(of: /class="front"/).count }

    @Test(
        "gives a family one colour and marker, each of its lines dashes, and the baseline a colour of its own"
    )
    func looksDiffer() {
        let families = (0..<10).map { SeriesLook(family: $0, member: 0).color }
        #expect(Set(families).count == 10)
        // The page has a colour of each number.
        for color in families + [SeriesLook(family: nil, member: 0).color] {
            #expect(HTMLPage(title: "").html.contains("--c\(color): #"))
        }
        #expect(!families.contains(SeriesLook(family: nil, member: 0).color))
        #expect(SeriesLook(family: 1, member: 0).color == SeriesLook(family: 1, member: 3).color)
        let looks: [SeriesLook] = (0..<40).map { SeriesLook(family: $0 / 5, member: $0 % 5) }
        #expect(Set(looks).count == 40)
        // Without colours too: dashes and markers alone.
        let shapes = looks.prefix(30).map { (look: SeriesLook) -> String in
            (look.stroke + look.marker(at: (0, 0), radius: 5, note: nil)).replacing(/--c\d+/, with: "")
        }
        #expect(Set(shapes).count == 30)
    }

    @Test("marks the value that others are held against, where it lies within the axis")
    func reference() {
        #expect(chart(reference: (1.5, "unpruned")).svg.contains(">unpruned</text>"))
        #expect(!chart(reference: (99, "unpruned")).svg.contains("unpruned"))
    }

    @Test("has rings around the points of its own front, where more is better too, one for each place")
    func front() {
        // Lowest: (80, 1), (50, 1.5) and (40, 9); (100, 1) and (70, 1.5) cost more for as much. Highest: (40, 9) alone.
        #expect(rings(chart()) == 3)
        #expect(rings(chart(prefersHigh: true)) == 1)
    }

    @Test("names its lines and its rings in a list beside the picture")
    func legend() {
        let legend = chart().legend
        for name in ["greedy", "beam:2", "Pareto front"] { #expect(legend.contains("\(name)</li>")) }
    }
}

@Suite("A Pareto front")
struct ParetoFrontTests {
    @Test("has what no other point beats, held against every pair", arguments: 0..<50)
    func agreesWithEveryPair(seed: Int) {
        // Few different numbers, so that many are equal.
        let points = (0..<(seed % 12)).map { index in
            let drawn = (seed * 7919 + index * 104_729) % 9973 % 25
            return (cost: Double(drawn / 5), value: Double(drawn % 5))
        }
        for preference in [ParetoFront.Preference.lowest, .highest] {
            let sign: Double = preference == .lowest ? 1 : -1
            let expected = points.indices.filter { own in
                !points.indices.contains { other in
                    let (a, b) = (points[own], points[other])
                    let isAsGood = b.cost <= a.cost && sign * b.value <= sign * a.value
                    return isAsGood && (b != a || other < own)
                }
            }
            let found = ParetoFront.indices(of: points, preference)
            #expect(found.sorted() == expected, "\(points)")
            #expect(found.map { points[$0].cost } == found.map { points[$0].cost }.sorted(by: >))
        }
    }

    @Test("leaves out what is no number")
    func notFinite() {
        #expect(ParetoFront.indices(of: [(1, .infinity), (2, .nan), (3, 1)], .lowest) == [2])
    }
}
