internal import Foundation

/// Lines with markers over two axes, as SVG.
///
/// Every line has a colour, a dash pattern and a marker of its own, so that lines can be told apart without colours too.
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
        let look: SeriesLook
        let isFaint: Bool

        /// A line; points that are no numbers are left out.
        ///
        /// - Parameter number: the line's number in the page, from 0, which decides how it looks.
        public init(name: String, points: [Point], number: Int, isFaint: Bool = false) {
            self.name = name
            self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
            look = SeriesLook(number: number)
            self.isFaint = isFaint
        }
    }

    private let series: [Series]
    private let xTitle: String
    private let yTitle: String
    private let x: ChartAxis
    private let y: ChartAxis
    private let reference: (value: Double, label: String)?
    private let height: Double
    private static let (width, left, right, top, bottom) = (720.0, 70.0, 170.0, 14.0, 46.0)
    private static let legendLine = 20.0

    /// A chart of lines.
    ///
    /// - Parameters:
    ///   - x: the horizontal axis' title with its unit, and what it is relative to.
    ///   - y: the vertical one's; logarithmic where values span more than a factor of 100.
    ///   - reference: a value that a thin level line marks, with its name.
    public init(_ series: [Series], x: String, y: String, reference: (value: Double, label: String)? = nil) {
        self.series = series
        (xTitle, yTitle) = (x, y)
        let points = series.flatMap(\.points)
        self.x = ChartAxis(points.map(\.x), mayBeLogarithmic: false)
        let axis = ChartAxis(points.map(\.y), mayBeLogarithmic: true)
        self.y = axis
        self.reference = reference.flatMap { (axis.lower...axis.upper).contains($0.value) ? $0 : nil }
        height = max(400, Self.top + Self.bottom + Self.legendLine * Double(series.count))
    }

    private func place(_ point: Point) -> (x: Double, y: Double) {
        (
            Self.left + x.share(of: point.x) * (Self.width - Self.left - Self.right),
            height - Self.bottom - y.share(of: point.y) * (height - Self.top - Self.bottom)
        )
    }

    private static func text(_ value: Double) -> String { String(format: "%.1f", value) }

    /// The picture.
    public var svg: String {
        var parts = [
            "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(height))\" role=\"img\" "
                + "xmlns=\"http://www.w3.org/2000/svg\" aria-label=\"\(HTMLPage.escaped("\(yTitle) against \(xTitle)"))\">"
        ]
        parts += axes
        // A broad line below narrow ones: both show where two strategies found the same path.
        for (index, line) in series.enumerated() { parts += drawn(line, width: index == 0 ? 6 : 2) }
        parts += legend
        return parts.joined(separator: "\n") + "\n</svg>"
    }

    private var axes: [String] {
        let (floor, end) = (height - Self.bottom, Self.width - Self.right)
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
        if let reference {
            let level = place(Point(x: x.lower, y: reference.value, note: "")).y
            parts.append(
                "<line class=\"reference\" x1=\"\(Self.left)\" y1=\"\(Self.text(level))\" x2=\"\(end)\" "
                    + "y2=\"\(Self.text(level))\"/><text x=\"\(Self.left + 6)\" y=\"\(Self.text(level - 5))\">"
                    + "\(HTMLPage.escaped(reference.label))</text>")
        }
        let middle = Self.text((Self.top + floor) / 2)
        parts.append(
            "<text x=\"\(Self.text((Self.left + end) / 2))\" y=\"\(height - 6)\" text-anchor=\"middle\">"
                + "\(HTMLPage.escaped(xTitle))</text>"
                + "<text transform=\"translate(16 \(middle)) rotate(-90)\" text-anchor=\"middle\">"
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
            if point.isOnFront {
                parts.append(
                    "<circle class=\"front\" cx=\"\(Self.text(place.x))\" cy=\"\(Self.text(place.y))\" r=\"9\"/>"
                )
            }
            parts.append(
                line.look.marker(
                    at: place, radius: Double(width) / 2 + 3.5, note: HTMLPage.escaped(point.note)))
        }
        return parts + ["</g>"]
    }

    private var legend: [String] {
        series.enumerated().map { index, line in
            let across = Self.width - Self.right + 22
            let level = Self.top + 8 + Double(index) * Self.legendLine
            return "<g\(line.isFaint ? " class=\"faint\"" : "")>"
                + "<path d=\"M\(across) \(level) L\(across + 28) \(level)\" style=\"\(line.look.stroke);stroke-width:2\"/>"
                + line.look.marker(at: (across + 14, level), radius: 4.5, note: nil)
                + "</g><text x=\"\(across + 36)\" y=\"\(level + 4)\">\(HTMLPage.escaped(line.name))</text>"
        }
    }
}

/// How one of several lines looks.
struct SeriesLook: Sendable, Hashable {
    /// The number of colours in the page's palette; that of the markers has no divisor in common with it, nor that of the
    /// dashes with that of the markers.
    static let colors = 8
    private static let dashes = ["", "7 4", "2 4", "10 4 2 4", "14 4"]

    /// The colour's number in the page's palette.
    let color: Int
    private let dash: String
    private let shape: Int

    init(number: Int) {
        color = number % Self.colors
        dash = Self.dashes[number % Self.dashes.count]
        shape = number % 7
    }

    /// The line's style.
    var stroke: String {
        "stroke:var(--c\(color))" + (dash.isEmpty ? "" : ";stroke-dasharray:\(dash)")
    }

    /// The marker of a point, with what is told when it is pointed at.
    func marker(at place: (x: Double, y: Double), radius: Double, note: String?) -> String {
        func point(_ x: Double, _ y: Double) -> String {
            String(format: "%.1f %.1f", place.x + x * radius, place.y + y * radius)
        }
        let (outline, isFilled): (String, Bool) =
            switch shape {
            case 0: ("", true)
            case 1:
                (
                    "M\(point(-0.9, -0.9)) L\(point(0.9, -0.9)) L\(point(0.9, 0.9)) L\(point(-0.9, 0.9)) Z",
                    true
                )
            case 2: ("M\(point(0, -1.2)) L\(point(1.1, 0.8)) L\(point(-1.1, 0.8)) Z", true)
            case 3: ("M\(point(0, -1.3)) L\(point(1.3, 0)) L\(point(0, 1.3)) L\(point(-1.3, 0)) Z", true)
            case 4: ("M\(point(0, 1.2)) L\(point(1.1, -0.8)) L\(point(-1.1, -0.8)) Z", true)
            case 5: ("M\(point(-1.2, 0)) L\(point(1.2, 0)) M\(point(0, -1.2)) L\(point(0, 1.2))", false)
            default: ("M\(point(-1, -1)) L\(point(1, 1)) M\(point(-1, 1)) L\(point(1, -1))", false)
            }
        let title = note.map { "<title>\($0)</title>" } ?? ""
        guard !outline.isEmpty else {
            return String(format: "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", place.x, place.y, radius)
                + " style=\"fill:var(--c\(color))\">\(title)</circle>"
        }
        let style = isFilled ? "fill:var(--c\(color))" : "stroke:var(--c\(color));stroke-width:2.5"
        return "<path class=\"marker\" d=\"\(outline)\" style=\"\(style)\">\(title)</path>"
    }
}
