internal import Foundation

/// Numbers for people to read; machines get all digits.
package enum NumberText {
    /// Four significant digits, e.g. `0.1235`, `1.5e-07`, `inf`.
    package static func significant(_ value: Double) -> String { String(format: "%.4g", value) }

    /// A change with its sign and four significant digits, e.g. `+0.0125`.
    package static func change(_ value: Double) -> String { String(format: "%+.4g", value) }

    /// A share of `whole` in percent with one decimal, e.g. `45.3%`; `-` of nothing.
    package static func share(_ part: Int, of whole: Int) -> String {
        whole > 0 ? String(format: "%.1f%%", 100 * Double(part) / Double(whole)) : "-"
    }

    /// A fraction in percent with two decimals, e.g. `97.66%`; `-` when there is none.
    package static func percent(_ fraction: Double?) -> String {
        fraction.map { String(format: "%.2f%%", 100 * $0) } ?? "-"
    }

    /// A number of things, e.g. `1 sample`, `1,234 samples`.
    ///
    /// - Parameter many: the word for several; `one` with an s unless given.
    package static func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
        "\(grouped(count)) \(count == 1 ? one : many ?? one + "s")"
    }

    /// A count with thousands separators, e.g. `1,234,567`.
    package static func grouped(_ count: Int) -> String {
        let digits = Array(String(count.magnitude))
        let groups = stride(from: digits.count % 3 - 3, to: digits.count, by: 3).compactMap {
            start -> String? in
            let group = digits[max(start, 0)..<min(max(start + 3, 0), digits.count)]
            return group.isEmpty ? nil : String(group)
        }
        return (count < 0 ? "-" : "") + groups.joined(separator: ",")
    }

    /// A number of bytes in the largest unit of which there is one, e.g. `512 KiB`, `1.5 GiB`.
    package static func bytes(_ count: Int) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (Double(count), 0)
        while value >= 1024, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        return String(format: "%.4g ", value) + units[unit]
    }

    /// A time in at most two units: `0.4 s`, `13 s`, `2 min 05 s`, `1 h 02 min`, `3 d 04 h`; `?` when it is not known.
    package static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
        if seconds < 9.95 { return String(format: "%.1f s", seconds) }
        let whole = Int(seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return String(format: "%d min %02d s", whole / 60, whole % 60) }
        if whole < 86_400 { return String(format: "%d h %02d min", whole / 3600, whole / 60 % 60) }
        return String(format: "%d d %02d h", whole / 86_400, whole / 3600 % 24)
    }
}
