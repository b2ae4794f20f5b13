import Report
import Testing

@testable import Report

@Suite("A chart")
struct ChartTests {
    @Test("gives each of forty lines a look of its own, and each of eight a colour of its own")
    func looksDiffer() {
        #expect(Set((0..<40).map { SeriesLook(number: $0) }).count == 40)
        #expect(Set((0..<8).map { SeriesLook(number: $0).color }).count == 8)
        // Without colours too: dashes and markers alone.
        let looks = (0..<35).map { number in
            let look = SeriesLook(number: number)
            return (look.stroke + look.marker(at: (0, 0), radius: 5, note: nil)).replacing(/--c\d/, with: "")
        }
        #expect(Set(looks).count == 35)
    }

    @Test("marks the value that others are held against, where it lies within the axis")
    func reference() {
        let line = LineChart.Series(
            name: "greedy", points: [.init(x: 100, y: 1, note: ""), .init(x: 50, y: 2, note: "")], number: 0)
        #expect(
            LineChart([line], x: "x", y: "y", reference: (1.5, "unpruned")).svg.contains(">unpruned</text>"))
        #expect(!LineChart([line], x: "x", y: "y", reference: (9, "unpruned")).svg.contains("unpruned"))
    }
}
