/// A self-contained HTML page: no scripts, nothing fetched, light and dark, for wide and narrow screens.
public struct HTMLPage: Sendable {
    /// A table's cell.
    public enum Cell: Sendable, ExpressibleByStringInterpolation {
        /// A text; numbers are set to the right.
        case text(String)
        /// A name behind a piece of the line that stands for it in charts.
        case line(SeriesLook, String)
        /// A text that opens to a list.
        case folded(String, [String])

        /// A text.
        public init(stringLiteral value: String) { self = .text(value) }

        fileprivate var isNumber: Bool {
            guard case .text(let text) = self, let first = text.first else { return false }
            return (first.isNumber || "+-−".contains(first)) && !text.contains(":")
        }

        fileprivate var html: String {
            switch self {
            case .text(let text): return "<td\(isNumber ? " class=\"number\"" : "")>\(escaped(text))</td>"
            case .line(let look, let name): return "<td>\(look.key)\(escaped(name))</td>"
            case .folded(let text, let items):
                let list = items.map { "<li>\(escaped($0))</li>" }.joined()
                return "<td><details><summary>\(escaped(text))</summary><ul>\(list)</ul></details></td>"
            }
        }
    }

    private let title: String
    private var parts: [String] = []

    /// An empty page.
    public init(title: String) { self.title = title }

    /// Text as it may stand in HTML, attributes included. Control characters, which XML has not, are replaced.
    public static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "\n", "\t": result.unicodeScalars.append(scalar)
            case _
            where scalar.properties.generalCategory == .control || (0xFFFE...0xFFFF).contains(scalar.value):
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Adds a heading.
    public mutating func heading(_ text: String) { parts.append("<h2>\(Self.escaped(text))</h2>") }

    /// Adds a paragraph.
    public mutating func paragraph(_ text: String) { parts.append("<p>\(Self.escaped(text))</p>") }

    /// Adds a paragraph that catches the eye.
    public mutating func warning(_ text: String) {
        parts.append("<p class=\"warning\">Warning: \(Self.escaped(text))</p>")
    }

    /// Adds names with what is said of each.
    ///
    /// - Parameter command: the words of a command, which is set as it was typed; lines end between words.
    public mutating func facts(_ facts: [(name: String, text: String)], command: [String] = []) {
        func item(_ name: String, _ text: String) -> String {
            "<dt>\(Self.escaped(name))</dt><dd>\(text)</dd>"
        }
        let words = command.map { "<span>\(Self.escaped($0))</span>" }.joined(separator: " ")
        let items =
            facts.map { item($0.name, Self.escaped($0.text)) }
            + (command.isEmpty ? [] : [item("command", "<code>\(words)</code>")])
        parts.append("<dl>\(items.joined(separator: "\n"))</dl>")
    }

    /// Adds a chart with its legend and a caption.
    public mutating func chart(_ chart: LineChart, caption: String) {
        parts.append(
            "<figure>\(chart.svg)\n\(chart.legend)<figcaption>\(Self.escaped(caption))</figcaption></figure>")
    }

    /// Adds a table.
    ///
    /// - Parameter fold: what stands in the place of the table until it is opened; `nil` for a table that is always open.
    public mutating func table(_ titles: [String], rows: [[Cell]], fold: String? = nil) {
        let head = titles.enumerated().map { column, title in
            let cells = rows.compactMap { column < $0.count ? $0[column] : nil }
            let isNumeric = cells.contains(where: \.isNumber)
            return "<th\(isNumeric ? " class=\"number\"" : "")>\(Self.escaped(title))</th>"
        }
        let body = rows.map { "<tr>" + $0.map(\.html).joined() + "</tr>" }.joined(separator: "\n")
        let table =
            "<div class=\"wide\"><table>\n<thead><tr>\(head.joined())</tr></thead>\n<tbody>\n\(body)\n</tbody></table></div>"
        parts.append(
            fold.map { "<details><summary>\(Self.escaped($0))</summary>\(table)</details>" } ?? table)
    }

    /// The document.
    public var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>\(Self.escaped(title))</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <h1>\(Self.escaped(title))</h1>
        \(parts.joined(separator: "\n"))
        </body>
        </html>

        """
    }

    /// Colours of Okabe and Ito, "Color Universal Design", 2008, and four of Tol's ("Colour schemes", 2021); lighter ones
    /// where the ground is dark. `SeriesLook.colors` counts them, but for the last, the baseline's. A chart is as wide as the
    /// screen, so that on a narrow one its letters have to be larger in the chart's units.
    private static let style = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --faint: #5c5c5c; --rule: #d9d9d9; --soft: #f4f5f7;
          --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #b8860b; --c5: #56b4e9; --c6: #882255;
          --c7: #332288; --c8: #999933; --c9: #661100; --c10: #777; }
        @media (prefers-color-scheme: dark) { :root { --ground: #16181c; --ink: #e8e8e8; --faint: #a8a8a8;
          --rule: #3a3d42; --soft: #1f2227; --c0: #56b4e9; --c1: #ff8c42; --c2: #2fcf9f; --c3: #e6a5c9; --c4: #f0e442;
          --c5: #9ad4f5; --c6: #d98cb3; --c7: #a79cf0; --c8: #c4c46a; --c9: #cf9482; --c10: #999; } }
        body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
          margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
        h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
        p, dl, figcaption, .legend { max-width: 46rem; }
        dl { display: grid; grid-template-columns: fit-content(14rem) 1fr; gap: 0.15rem 1rem; } dt { color: var(--faint); }
        dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
        code { font-size: 0.85rem; background: var(--soft); padding: 0.1rem 0.3rem; }
        code span { display: inline-block; }
        figure { margin: 1rem 0 2rem; max-width: 46rem; } figcaption { color: var(--faint); font-size: 0.9rem; }
        figure > svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
        svg text { fill: var(--faint); } svg .name { fill: var(--ink); }
        svg .rule { stroke: var(--rule); stroke-width: 1; } svg path { fill: none; stroke-width: 2; }
        svg .marker { stroke-width: 0; } .faint { opacity: 0.75; } svg .reference { stroke: var(--faint); stroke-dasharray: 2 3; }
        svg .front { fill: none; stroke: var(--ink); stroke-width: 1.5; }
        .legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.2rem; list-style: none; padding: 0; margin: 0.3rem 0;
          font-size: 0.9rem; }
        .key { width: 2.5rem; height: 1rem; vertical-align: -0.15rem; margin-right: 0.4rem; }
        .warning { border-left: 4px solid var(--c1); padding-left: 0.8rem; }
        .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
        th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap;
          vertical-align: top; }
        th { vertical-align: bottom; }
        th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
        summary { cursor: pointer; } details > .wide { margin-top: 0.6rem; } td ul { margin: 0.2rem 0; padding-left: 1.2rem; }
        @media (max-width: 40rem) { body { margin: 1rem auto; font-size: 15px; } dl { display: block; } dd { margin-bottom: 0.5rem; }
          figure > svg { font-size: 21px; } }
        """
}
