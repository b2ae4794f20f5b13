/// A table in plain text: columns aligned, numbers to the right, everything else to the left. It is at most 100 characters
/// wide: long texts lose their middle. Line breaks in a title divide it.
///
/// ```swift
/// var table = TextTable(["edge", "loss"])
/// table.append(["4:1", "0.25"])
/// print(table, terminator: "")
/// ```
public struct TextTable: Sendable, CustomStringConvertible {
    private let titles: [String]
    private var rows: [[String]] = []

    /// The most characters of a line.
    public static let width = 100
    /// Texts are not cut to fewer characters than that.
    private static let shortestText = 8
    private static let gap = "  "

    /// A table without rows.
    public init(_ titles: [String]) { self.titles = titles }

    /// Adds a row. Missing cells are empty; those beyond the last column are left out.
    public mutating func append(_ cells: [String]) {
        // A name with a line break in it would end the row.
        rows.append(
            titles.indices.map {
                $0 < cells.count ? cells[$0].split(whereSeparator: \.isNewline).joined(separator: " ") : ""
            })
    }

    /// The table, two spaces between columns, each line ended by a line break and without trailing spaces.
    public var description: String {
        let heads = titleLines
        let isNumeric = titles.indices.map(isNumeric)
        let widths = widths(of: heads + rows, isNumeric)
        return (heads + rows).map { row in
            let cells = row.indices.map { column in
                let cell = TerminalText.cut(row[column], to: widths[column])
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return isNumeric[column] ? space + cell : cell + space
            }
            let line = cells.joined(separator: TextTable.gap)
            return line.prefix(line.count - line.reversed().prefix { $0 == " " }.count) + "\n"
        }.joined()
    }

    /// The titles as rows; short ones stand in the last.
    private var titleLines: [[String]] {
        let parts = titles.map { $0.split(separator: "\n").map(String.init) }
        let height = max(1, parts.map(\.count).max() ?? 0)
        return (0..<height).map { line in
            parts.map { lines in
                let place = line - (height - lines.count)
                return lines.indices.contains(place) ? lines[place] : ""
            }
        }
    }

    /// The columns' widths. Where the table is too wide the widest texts give way, down to the widest that fits.
    private func widths(of lines: [[String]], _ isNumeric: [Bool]) -> [Int] {
        var widths = titles.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        let gaps = TextTable.gap.count * max(0, titles.count - 1)
        while widths.reduce(gaps, +) > TextTable.width {
            let texts = widths.indices.filter { !isNumeric[$0] && widths[$0] > TextTable.shortestText }
            guard let widest = texts.max(by: { widths[$0] < widths[$1] }) else { break }
            widths[widest] -= 1
        }
        return widths
    }

    /// The table in Markdown.
    public var markdown: String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        let rule = titles.indices.map { isNumeric($0) ? "---:" : "---" }
        return line(titles.map { $0.replacing("\n", with: " ") }) + line(rule) + rows.map(line).joined()
    }

    /// Whether a column holds numbers, and nothing else but marks for what is missing.
    private func isNumeric(_ column: Int) -> Bool {
        let cells = rows.map { $0[column] }.filter { !["", "?", "-"].contains($0) }
        return !cells.isEmpty && cells.allSatisfy(TextTable.isNumber)
    }

    /// Whether a cell is a number, perhaps with thousands separators or a percent sign.
    private static func isNumber(_ cell: String) -> Bool {
        var text = cell.replacing(",", with: "")
        if text.hasSuffix("%") { text = String(text.dropLast().reversed().drop { $0 == " " }.reversed()) }
        return Double(text) != nil
    }
}
