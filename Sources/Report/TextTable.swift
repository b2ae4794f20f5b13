/// A table in plain text: columns aligned, numbers to the right, everything else to the left.
///
/// It fits a width as far as it can: titles take several lines, names lose their middle, lists go on in the next line, and
/// columns that can be missed are left out. Numbers are never cut, nor are short elements of lists. Line breaks in a title divide it.
///
/// ```swift
/// var table = TextTable(["edge", "loss"])
/// table.append(["4:1", "0.25"])
/// print(table, terminator: "")
/// ```
public struct TextTable: Sendable, CustomStringConvertible {
    /// How wide tables are where no terminal tells how wide it is.
    public static let width = 100

    private let titles: [String]
    private let lists: Set<String>
    private let dispensable: [String]
    private var rows: [[String]] = []

    /// A table without rows.
    ///
    /// - Parameters:
    ///   - lists: titles of columns whose cells are lists with blanks between: they are broken there.
    ///   - dispensable: titles of columns that are left out where the table is too wide, the first of them first.
    public init(_ titles: [String], lists: Set<String> = [], dispensable: [String] = []) {
        self.titles = titles
        self.lists = lists
        self.dispensable = dispensable
    }

    /// Adds a row. Missing cells are empty; those beyond the last column are left out.
    public mutating func append(_ cells: [String]) {
        // A name with a line break in it would end the row.
        rows.append(
            titles.indices.map {
                $0 < cells.count ? cells[$0].split(whereSeparator: \.isNewline).joined(separator: " ") : ""
            })
    }

    /// The table at its usual width.
    public var description: String { text(width: TextTable.width) }

    /// The table, two spaces between columns, each line ended by a line break and without trailing spaces.
    ///
    /// - Parameter width: how many characters a line may have, as far as that can be.
    public func text(width: Int) -> String {
        let columns = titles.indices.map(column)
        func shown(without left: Int) -> [Int] {
            titles.indices.filter { !dispensable.prefix(left).contains(titles[$0]) }
        }
        // Before names are cut to little, columns go.
        var (left, layout) = (0, TableLayout(columns, width: width, shortestName: TableColumn.readableName))
        while !layout.fits {
            left += 1
            let isLast = left > dispensable.count
            layout = TableLayout(
                shown(without: left).map { columns[$0] }, width: width,
                shortestName: isLast ? TableColumn.shortestName : TableColumn.readableName)
            if isLast { break }
        }
        return layout.text(rows: rows.map { row in shown(without: left).map { row[$0] } })
    }

    /// Whether the table has this width with all its columns, and nothing cut.
    func isWhole(width: Int) -> Bool {
        TableLayout(titles.indices.map(column), width: width, shortestName: 0).isWhole
    }

    /// The table in Markdown, whole.
    public var markdown: String {
        func line(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
        }
        let rule = titles.indices.map { isNumeric($0) ? "---:" : "---" }
        return line(titles.map { $0.replacing("\n", with: " ") }) + line(rule) + rows.map(line).joined()
    }

    private func column(_ index: Int) -> TableColumn {
        let cells = rows.map { $0[index] }
        let kind: TableColumn.Kind =
            isNumeric(index) ? .number : lists.contains(titles[index]) ? .list : .name
        return TableColumn(
            title: titles[index], kind: kind, content: cells.map(\.count).max() ?? 0,
            longestElement: kind == .list
                ? cells.flatMap { $0.split(separator: " ") }.map(\.count).max() ?? 0 : 0)
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

/// What a column of a table needs.
private struct TableColumn {
    enum Kind { case number, name, list }

    let title: String
    let kind: Kind
    /// The longest cell.
    let content: Int
    /// Of lists the longest element.
    let longestElement: Int

    /// To this length names are cut rather than that columns are left out, and to the other one at all.
    static let (readableName, shortestName) = (20, 12)
    /// An element of a list that is longer is a name, and may be cut; others are what commands take.
    private static let longestWhole = 30

    /// The width at which nothing but what has to be is broken, and nothing is cut.
    var natural: Int { max(title.split(separator: "\n").map(\.count).max() ?? 0, content) }
    /// The width with the title in as many lines as it has words.
    var withBrokenTitle: Int { max(longestWord, content) }
    /// The least width.
    func least(shortestName: Int) -> Int {
        switch kind {
        case .number: withBrokenTitle
        case .name: max(longestWord, min(content, shortestName))
        case .list: max(longestWord, min(longestElement, TableColumn.longestWhole))
        }
    }

    private var longestWord: Int { title.split(whereSeparator: \.isWhitespace).map(\.count).max() ?? 0 }

    /// The lines of the title.
    func titleLines(width: Int) -> [String] {
        title.split(separator: "\n").flatMap { ParagraphText.lines(of: String($0), width: width) }
    }
}

/// The columns of a table with their widths.
private struct TableLayout {
    private static let gap = "  "

    private let columns: [TableColumn]
    private let widths: [Int]
    /// Whether the lines have the width that was asked for.
    let fits: Bool
    /// Whether they have it with nothing cut.
    let isWhole: Bool

    init(_ columns: [TableColumn], width: Int, shortestName: Int) {
        let room = width - TableLayout.gap.count * max(0, columns.count - 1)
        var widths = columns.map(\.natural)
        if widths.reduce(0, +) > room { widths = columns.map(\.withBrokenTitle) }
        isWhole = widths.reduce(0, +) <= room
        // The widest gives way first, so that none is cut more than it must be.
        while widths.reduce(0, +) > room {
            let widest = columns.indices.filter { widths[$0] > columns[$0].least(shortestName: shortestName) }
                .max {
                    widths[$0] < widths[$1]
                }
            guard let widest else { break }
            widths[widest] -= 1
        }
        (self.columns, self.widths, fits) = (columns, widths, widths.reduce(0, +) <= room)
    }

    func text(rows: [[String]]) -> String {
        let titles = zip(columns, widths).map { $0.titleLines(width: $1) }
        let height = max(1, titles.map(\.count).max() ?? 1)
        // Titles stand on the first row, however many lines they take.
        let head = (0..<height).map { line in
            titles.map { line + $0.count >= height ? $0[line + $0.count - height] : "" }
        }
        return (head + rows.flatMap(lines)).map(padded).joined()
    }

    /// The lines of a row.
    private func lines(of row: [String]) -> [[String]] {
        let cells = columns.indices.map { index in
            switch columns[index].kind {
            case .number: [row[index]]
            case .name: [TerminalText.cut(row[index], to: widths[index])]
            case .list:
                ParagraphText.lines(of: row[index], width: widths[index]).map {
                    TerminalText.cut($0, to: widths[index])
                }
            }
        }
        return (0..<(cells.map(\.count).max() ?? 1)).map { line in
            cells.map { line < $0.count ? $0[line] : "" }
        }
    }

    private func padded(_ cells: [String]) -> String {
        let line = cells.indices.map { index in
            let space = String(repeating: " ", count: max(0, widths[index] - cells[index].count))
            return columns[index].kind == .number ? space + cells[index] : cells[index] + space
        }.joined(separator: TableLayout.gap)
        return line.prefix(line.count - line.reversed().prefix { $0 == " " }.count) + "\n"
    }
}
