internal import Foundation

/// How far some work has come, in one line: `level 3: 120 of 576 blocks (20.8%), 34.5/s, 13 s left`.
///
/// It has no clock: the caller says how much time has passed.
public struct ProgressLine: Sendable, Hashable, CustomStringConvertible {
    /// What is worked on, e.g. `level 3`.
    public var label: String
    /// What is counted, in the plural, e.g. `blocks`; one of them lacks the s at its end.
    public var unit: String
    /// How many are done.
    public var done: Int
    /// How many there are, as far as is known now.
    public var total: Int
    /// How many had been done when the time began to run: taken over from an earlier run.
    public var doneBefore: Int
    /// The time since then, seconds.
    public var elapsed: Double
    /// Whether `total` is an estimate.
    public var isEstimate: Bool
    /// What else is said, the most important first, e.g. `loss 0.25`.
    public var details: [String]

    /// The progress of `label` from plain numbers.
    public init(
        label: String, unit: String, done: Int, total: Int, doneBefore: Int = 0, elapsed: Double,
        isEstimate: Bool = false, details: [String] = []
    ) {
        self.label = label
        self.unit = unit
        self.done = done
        self.total = total
        self.doneBefore = doneBefore
        self.elapsed = elapsed
        self.isEstimate = isEstimate
        self.details = details
    }

    /// How many were done per second; `nil` before there is anything to tell it from.
    public var rate: Double? {
        elapsed > 0 && elapsed.isFinite && done > doneBefore ? Double(done - doneBefore) / elapsed : nil
    }

    /// The seconds that the rest will take at this rate; `nil` while that is not known.
    public var remaining: Double? { rate.map { Double(max(0, total - done)) / $0 } }

    /// The whole line.
    public var description: String { text(with: Part.all, details: details.count) }

    /// The line in at most `width` characters: what matters least goes first, and what still is too long is cut.
    public func text(fitting width: Int) -> String {
        var (parts, shown) = (Part.all, details.count)
        func current() -> String { text(with: parts, details: shown) }
        let steps: [() -> Void] =
            [{ parts.remove(.rate) }]
            + details.map { _ in { shown -= 1 } }
            + [Part.unit, .share, .left].map { part in { parts.remove(part) } }
        for step in steps where current().count > width { step() }
        return TerminalText.clipped(current(), to: width)
    }

    /// What a line may have beside its label and the count.
    private struct Part: OptionSet {
        let rawValue: Int
        static let (unit, share, rate, left) = (Part(1), Part(2), Part(4), Part(8))
        static let all: Part = [.unit, .share, .rate, .left]

        init(rawValue: Int) { self.rawValue = rawValue }
        private init(_ rawValue: Int) { self.rawValue = rawValue }
    }

    private func text(with parts: Part, details shown: Int) -> String {
        var line = "\(label): \(NumberText.grouped(done)) of \(about)\(NumberText.grouped(total))"
        if parts.contains(.unit) {
            line += " " + (total == 1 && unit.hasSuffix("s") ? String(unit.dropLast()) : unit)
        }
        if parts.contains(.share), total > 0 { line += " (\(NumberText.share(done, of: total)))" }
        if parts.contains(.rate), let rate {
            line += ", \(String(format: rate < 9.95 ? "%.2f" : "%.1f", rate))/s"
        }
        if parts.contains(.left), let remaining, done < total {
            line += ", \(about)\(NumberText.duration(remaining)) left"
        }
        return line + details.prefix(shown).map { "; " + $0 }.joined()
    }

    private var about: String { isEstimate ? "about " : "" }
}
