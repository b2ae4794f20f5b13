/// A self-contained HTML page: no scripts, nothing fetched, light and dark.
public struct HTMLPage: Sendable {
    private let title: String
    private var parts: [String] = []

    /// An empty page.
    public init(title: String) { self.title = title }

    /// Text as it may stand in HTML, attributes included.
    public static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }

    /// Adds a heading.
    public mutating func heading(_ text: String) { parts.append("<h2>\(Self.escaped(text))</h2>") }

    /// Adds a paragraph.
    public mutating func paragraph(_ text: String) { parts.append("<p>\(Self.escaped(text))</p>") }

    /// Adds a chart with a caption.
    public mutating func chart(_ chart: LineChart, caption: String) {
        parts.append("<figure>\(chart.svg)<figcaption>\(Self.escaped(caption))</figcaption></figure>")
    }

    /// Adds a table; cells that are numbers are set to the right.
    public mutating func table(_ titles: [String], rows: [[String]]) {
        func cell(_ text: String, _ tag: String) -> String {
            let isNumber = text.first.map { $0.isNumber || "+-−".contains($0) } ?? false
            return "<\(tag)\(isNumber ? " class=\"number\"" : "")>\(Self.escaped(text))</\(tag)>"
        }
        let head = "<tr>" + titles.map { cell($0, "th") }.joined() + "</tr>"
        let body = rows.map { "<tr>" + $0.map { cell($0, "td") }.joined() + "</tr>" }.joined(separator: "\n")
        parts.append(
            "<div class=\"wide\"><table>\n<thead>\(head)</thead>\n<tbody>\n\(body)\n</tbody></table></div>")
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

    /// Colours of Okabe and Ito, "Color Universal Design", 2008, and one of Tol's ("Colour schemes", 2021); lighter ones
    /// where the ground is dark. `SeriesLook.colors` counts them.
    private static let style = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1a1a1a; --faint: #6b6b6b; --rule: #d9d9d9;
          --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #b8860b; --c5: #56b4e9; --c6: #555; --c7: #882255; }
        @media (prefers-color-scheme: dark) { :root { --ground: #16181c; --ink: #e8e8e8; --faint: #a0a0a0;
          --rule: #3a3d42; --c0: #56b4e9; --c1: #ff8c42; --c2: #2fcf9f; --c3: #e6a5c9; --c4: #f0e442; --c5: #9ad4f5;
          --c6: #bbb; --c7: #d98cb3; } }
        body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 60rem;
          margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
        figure { margin: 1rem 0; } figcaption { color: var(--faint); font-size: 0.9rem; }
        svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
        svg text { fill: var(--ink); } svg .axis text, svg .name { fill: var(--faint); }
        svg .rule { stroke: var(--rule); stroke-width: 1; } svg path { fill: none; stroke-width: 2; }
        svg .marker { stroke-width: 0; } svg .faint { opacity: 0.6; } svg .reference { stroke: var(--faint); stroke-dasharray: 2 3; }
        svg .front { fill: none; stroke: var(--ink); stroke-width: 1.5; }
        .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; }
        th, td { padding: 0.2rem 0.7rem; text-align: left; border-bottom: 1px solid var(--rule); white-space: nowrap; }
        .number { text-align: right; font-variant-numeric: tabular-nums; }
        """
}
