/// Sentences and lists in lines.
package enum ParagraphText {
    /// A text whose lines have at most `width` characters; line breaks stay, and lines go on as far to the right as they began.
    package static func filled(_ text: String, width: Int) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard line.count > width else { return String(line) }
            let indent = line.prefix { $0 == " " }
            return lines(of: String(line), width: width - indent.count).map { indent + $0 }
                .joined(separator: "\n")
        }.joined(separator: "\n")
    }

    /// The words of a text in lines of at most `width` characters; a longer word has a line of its own.
    static func lines(of text: String, width: Int) -> [String] {
        guard text.count > width else { return [text] }
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
