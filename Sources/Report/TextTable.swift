/// A table in plain text: columns aligned, numbers to the right, everything else to the left.
///
/// ```swift
/// var table = TextTable(["edge", "loss"])
/// table.append(["4:1", "0.25"])
/// print(table, terminator: "")
/// ```
public struct TextTable: Sendable, CustomStringConvertible {
    private let titles: [String]
    private var rows: [[String]] = []

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
        let widths = titles.indices.map { column in ([titles] + rows).map { $0[column].count }.max() ?? 0 }
        let isNumeric = titles.indices.map(isNumeric)
        return ([titles] + rows).map { row in
            let cells = row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return isNumeric[column] ? space + row[column] : row[column] + space
            }
            let line = cells.joined(separator: "  ")
            return line.prefix(line.count - line.reversed().prefix { $0 == " " }.count) + "\n"
        }.joined()
    }

    /// The table in Markdown.
    public var markdown: String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        let rule = titles.indices.map { isNumeric($0) ? "---:" : "---" }
        return line(titles) + line(rule) + rows.map(line).joined()
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
