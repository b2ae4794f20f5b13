internal import Foundation

/// Lines with markers over two axes, as SVG, with rings around the points of its Pareto front.
public struct LineChart: Sendable {
    /// A point, with what is said of it.
    public struct Point: Sendable {
        let x: Double
        let y: Double
        let note: String

        /// A point.
        public init(x: Double, y: Double, note: String) {
            self.x = x
            self.y = y
            self.note = note
        }
    }

    /// One line.
    public struct Series: Sendable {
        let name: String
        let points: [Point]
        let look: SeriesLook
        let isFaint: Bool

        /// A line; points that are no numbers are left out.
        public init(name: String, points: [Point], look: SeriesLook, isFaint: Bool = false) {
            self.name = name
            self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
            self.look = look
            self.isFaint = isFaint
        }
    }

    private let series: [Series]
    private let xTitle: String
    private let yTitle: String
    private let x: ChartAxis
    private let y: ChartAxis
    private let reference: (value: Double, label: String)?
    /// The points that no other one beats, each place once.
    private let front: [Point]
    private static let (width, height) = (640.0, 420.0)
    private static let (left, right, top, bottom) = (80.0, 28.0, 50.0, 58.0)

    /// A chart of lines.
    ///
    /// - Parameters:
    ///   - x: the horizontal axis' title with its unit, and what it is relative to.
    ///   - y: the vertical one's; logarithmic where values span more than a factor of 100.
    ///   - reference: a value that a thin level line marks, with its name.
    ///   - prefersHigh: whether the front has the highest values instead of the lowest, at the smallest `x`.
    public init(
        _ series: [Series], x: String, y: String, reference: (value: Double, label: String)? = nil,
        prefersHigh: Bool = false
    ) {
        self.series = series
        (xTitle, yTitle) = (x, y)
        let points = series.flatMap(\.points)
        self.x = ChartAxis(points.map(\.x), mayBeLogarithmic: false)
        let axis = ChartAxis(points.map(\.y), mayBeLogarithmic: true)
        self.y = axis
        self.reference = reference.flatMap { (axis.lower...axis.upper).contains($0.value) ? $0 : nil }
        front = ParetoFront.indices(of: points.map { ($0.x, $0.y) }, prefersHigh ? .highest : .lowest)
            .map { points[$0] }
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
        for point in front {
            let place = place(point)
            parts.append(
                "<circle class=\"front\" cx=\"\(Self.text(place.x))\" cy=\"\(Self.text(place.y))\" r=\"9\"/>")
        }
        return parts.joined(separator: "\n") + "\n</svg>"
    }

    /// What the lines and the rings are, as a list for the page.
    var legend: String {
        let lines = series.map { line in
            "<li\(line.isFaint ? " class=\"faint\"" : "")>\(line.look.key)\(HTMLPage.escaped(line.name))</li>"
        }
        let ring =
            "<li><svg class=\"key\" viewBox=\"0 0 40 16\" aria-hidden=\"true\" xmlns=\"http://www.w3.org/2000/svg\">"
            + "<circle class=\"front\" cx=\"20\" cy=\"8\" r=\"7\"/></svg>Pareto front</li>"
        return "<ul class=\"legend\">" + lines.joined() + (front.isEmpty ? "" : ring) + "</ul>"
    }

    private var axes: [String] {
        let (floor, end) = (Self.height - Self.bottom, Self.width - Self.right)
        var parts = ["<g class=\"axis\">"]
        for tick in y.ticks {
            let level = Self.text(place(Point(x: x.lower, y: tick, note: "")).y)
            parts.append(
                "<line class=\"rule\" x1=\"\(Self.left)\" y1=\"\(level)\" x2=\"\(end)\" y2=\"\(level)\"/>"
                    + "<text x=\"\(Self.left - 8)\" y=\"\(level)\" dy=\"0.35em\" text-anchor=\"end\">\(ChartAxis.label(tick))</text>"
            )
        }
        for tick in x.ticks {
            let across = Self.text(place(Point(x: tick, y: y.lower, note: "")).x)
            parts.append(
                "<line class=\"rule\" x1=\"\(across)\" y1=\"\(floor)\" x2=\"\(across)\" y2=\"\(floor + 5)\"/>"
                    + "<text x=\"\(across)\" y=\"\(floor + 8)\" dy=\"0.9em\" text-anchor=\"middle\">\(ChartAxis.label(tick))</text>"
            )
        }
        if let reference {
            let level = place(Point(x: x.lower, y: reference.value, note: "")).y
            parts.append(
                "<line class=\"reference\" x1=\"\(Self.left)\" y1=\"\(Self.text(level))\" x2=\"\(end)\" "
                    + "y2=\"\(Self.text(level))\"/><text x=\"\(Self.left + 6)\" y=\"\(Self.text(level - 5))\">"
                    + "\(HTMLPage.escaped(reference.label))</text>")
        }
        parts.append(
            "<text class=\"name\" x=\"\(Self.text((Self.left + end) / 2))\" y=\"\(Self.height - 6)\" text-anchor=\"middle\">"
                + "\(HTMLPage.escaped(xTitle))</text><text class=\"name\" x=\"6\" y=\"24\">"
                + "\(HTMLPage.escaped(yTitle))\(y.isLogarithmic ? ", logarithmic" : "")</text></g>")
        return parts
    }

    private func drawn(_ line: Series, width: Int) -> [String] {
        guard !line.points.isEmpty else { return [] }
        let places = line.points.map(place)
        let path = places.enumerated()
            .map { "\($0 == 0 ? "M" : "L")\(Self.text($1.x)) \(Self.text($1.y))" }.joined(separator: " ")
        var parts = [
            "<g\(line.isFaint ? " class=\"faint\"" : "")>",
            "<path d=\"\(path)\" style=\"\(line.look.stroke);stroke-width:\(width)\"/>",
        ]
        for (point, place) in zip(line.points, places) {
            parts.append(
                line.look.marker(
                    at: place, radius: Double(width) / 2 + 3.5, note: HTMLPage.escaped(point.note)))
        }
        return parts + ["</g>"]
    }
}
