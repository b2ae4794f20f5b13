internal import Foundation

/// Lines with dots over two axes, as SVG.
public struct LineChart: Sendable {
    /// A point, with what is said of it.
    public struct Point: Sendable {
        let x: Double
        let y: Double
        let note: String
        let isOnFront: Bool

        /// A point; `isOnFront` gives it a ring.
        public init(x: Double, y: Double, note: String, isOnFront: Bool = false) {
            self.x = x
            self.y = y
            self.note = note
            self.isOnFront = isOnFront
        }
    }

    /// One line.
    public struct Series: Sendable {
        let name: String
        let points: [Point]
        let color: Int
        let isFaint: Bool

        /// A line in the palette's colour `color`; points that are no numbers are left out.
        public init(name: String, points: [Point], color: Int, isFaint: Bool = false) {
            self.name = name
            self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
            self.color = color % 7
            self.isFaint = isFaint
        }
    }

    private let series: [Series]
    private let xTitle: String
    private let yTitle: String
    private let x: ChartAxis
    private let y: ChartAxis
    private static let (width, height, left, right, top, bottom) = (720.0, 400.0, 70.0, 170.0, 14.0, 46.0)

    /// A chart of lines.
    ///
    /// - Parameters:
    ///   - x: the horizontal axis' title with its unit.
    ///   - y: the vertical one's; logarithmic where values span more than a factor of 100.
    public init(_ series: [Series], x: String, y: String) {
        self.series = series
        (xTitle, yTitle) = (x, y)
        let points = series.flatMap(\.points)
        self.x = ChartAxis(points.map(\.x), mayBeLogarithmic: false)
        self.y = ChartAxis(points.map(\.y), mayBeLogarithmic: true)
    }

    private func place(_ point: Point) -> (x: Double, y: Double) {
        (
            Self.left + x.share(of: point.x) * (Self.width - Self.left - Self.right),
            Self.height - Self.bottom - y.share(of: point.y) * (Self.height - Self.top - Self.bottom)
        )
    }

    private static func text(_ value: Double) -> String { String(format: "%.1f", value) }

    /// The picture.
    public var svg: String {
        var parts = [
            "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" "
                + "xmlns=\"http://www.w3.org/2000/svg\" aria-label=\"\(HTMLPage.escaped("\(yTitle) against \(xTitle)"))\">"
        ]
        parts += axes
        // A broad line below narrow ones: both show where two strategies found the same path.
        for (index, line) in series.enumerated() { parts += drawn(line, width: index == 0 ? 6 : 2) }
        parts += legend
        return parts.joined(separator: "\n") + "\n</svg>"
    }

    private var axes: [String] {
        let (floor, end) = (Self.height - Self.bottom, Self.width - Self.right)
        var parts = ["<g class=\"axis\">"]
        for tick in y.ticks {
            let level = Self.text(place(Point(x: x.lower, y: tick, note: "")).y)
            parts.append(
                "<line class=\"rule\" x1=\"\(Self.left)\" y1=\"\(level)\" x2=\"\(end)\" y2=\"\(level)\"/>"
                    + "<text x=\"\(Self.left - 8)\" y=\"\(level)\" dy=\"4\" text-anchor=\"end\">\(ChartAxis.label(tick))</text>"
            )
        }
        for tick in x.ticks {
            let across = Self.text(place(Point(x: tick, y: y.lower, note: "")).x)
            parts.append(
                "<line class=\"rule\" x1=\"\(across)\" y1=\"\(floor)\" x2=\"\(across)\" y2=\"\(floor + 5)\"/>"
                    + "<text x=\"\(across)\" y=\"\(floor + 19)\" text-anchor=\"middle\">\(ChartAxis.label(tick))</text>"
            )
        }
        let middle = Self.text((Self.top + floor) / 2)
        parts.append(
            "<text x=\"\(Self.text((Self.left + end) / 2))\" y=\"\(Self.height - 6)\" text-anchor=\"middle\">"
                + "\(HTMLPage.escaped(xTitle))</text>"
                + "<text transform=\"translate(16 \(middle)) rotate(-90)\" text-anchor=\"middle\">"
                + "\(HTMLPage.escaped(yTitle))\(y.isLogarithmic ? ", logarithmic" : "")</text></g>")
        return parts
    }

    private func drawn(_ line: Series, width: Int) -> [String] {
        guard !line.points.isEmpty else { return [] }
        let color = "var(--c\(line.color))"
        let places = line.points.map(place)
        let path = places.enumerated()
            .map { "\($0 == 0 ? "M" : "L")\(Self.text($1.x)) \(Self.text($1.y))" }.joined(separator: " ")
        var parts = [
            "<g\(line.isFaint ? " class=\"faint\"" : "")>",
            "<path d=\"\(path)\" style=\"stroke:\(color);stroke-width:\(width)\"/>",
        ]
        for (point, place) in zip(line.points, places) {
            let center = "cx=\"\(Self.text(place.x))\" cy=\"\(Self.text(place.y))\""
            if point.isOnFront { parts.append("<circle class=\"front\" \(center) r=\"9\"/>") }
            parts.append(
                "<circle \(center) r=\"\(width / 2 + 3)\" style=\"fill:\(color)\"><title>\(HTMLPage.escaped(point.note))</title></circle>"
            )
        }
        return parts + ["</g>"]
    }

    private var legend: [String] {
        series.enumerated().map { index, line in
            let (across, down) = (Self.width - Self.right + 16, Self.top + 12 + Double(index) * 20)
            return
                "<circle\(line.isFaint ? " class=\"faint\"" : "") cx=\"\(across)\" cy=\"\(down - 4)\" r=\"5\" "
                + "style=\"fill:var(--c\(line.color))\"/>"
                + "<text x=\"\(across + 12)\" y=\"\(down)\">\(HTMLPage.escaped(line.name))</text>"
        }
    }
}
