internal import Foundation

/// How one of several lines looks: its family has the colour and the marker, the line itself the dashes.
///
/// Lines can so be told apart without colours too.
public struct SeriesLook: Sendable, Hashable {
    /// The number of colours in the page's palette for families; one more is the baseline's.
    static let colors = 10
    private static let dashes = ["", "7 4", "2 4", "10 4 2 4", "14 4"]
    /// The markers of families; the baseline's is one more.
    private static let shapes = 6

    /// The colour's number in the page's palette.
    let color: Int
    private let dash: String
    private let shape: Int

    /// The look of a family's line.
    ///
    /// - Parameters:
    ///   - family: the family's number in the page, from 0; `nil` for the baseline, which is grey.
    ///   - member: the line's number in its family, from 0.
    public init(family: Int?, member: Int) {
        color = family.map { $0 % Self.colors } ?? Self.colors
        shape = family.map { $0 % Self.shapes } ?? Self.shapes
        dash = Self.dashes[member % Self.dashes.count]
    }

    /// The line's style.
    var stroke: String {
        "stroke:var(--c\(color))" + (dash.isEmpty ? "" : ";stroke-dasharray:\(dash)")
    }

    /// A piece of the line with its marker, for legends and tables.
    var key: String {
        "<svg class=\"key\" viewBox=\"0 0 40 16\" aria-hidden=\"true\" xmlns=\"http://www.w3.org/2000/svg\">"
            + "<path d=\"M1 8 L39 8\" style=\"\(stroke)\"/>" + marker(at: (20, 8), radius: 5, note: nil)
            + "</svg>"
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
