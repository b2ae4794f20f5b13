/// Text as a terminal may show it, whatever names a file has put into it.
public enum TerminalText {
    /// A word longer than this is cut: no path or name that people give is.
    private static let longestWord = 512

    /// The text with control characters, and those that turn the direction of writing, as their numbers, and absurdly long words
    /// cut. Line breaks and tabs stay.
    public static func shown(_ text: String) -> String {
        guard text.utf8.count > longestWord || text.unicodeScalars.contains(where: steers) else {
            return text
        }
        var result = String.UnicodeScalarView()
        var length = 0
        for scalar in text.unicodeScalars {
            length = scalar == " " || scalar == "\n" ? 0 : length + 1
            if length > longestWord {
                if length == longestWord + 1 { result.append("…") }
                continue
            }
            if steers(scalar) {
                result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// Text of at most so many characters: what is too much goes from its middle.
    ///
    /// - Parameter width: at least 1.
    public static func cut(_ text: String, to width: Int) -> String {
        guard text.count > width else { return text }
        let head = (width - 1) / 2
        return text.prefix(head) + "…" + text.suffix(width - 1 - head)
    }

    /// A line of at most so many characters: what is too much goes from its end.
    public static func clipped(_ line: String, to width: Int) -> String {
        line.count > width ? line.prefix(max(0, width - 1)) + "…" : line
    }

    /// Whether a terminal would do something else than show it.
    private static func steers(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control: scalar != "\n" && scalar != "\t"
        // Soft hyphens and joiners are harmless; what turns the direction of writing is not.
        case .format: (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        default: false
        }
    }
}
