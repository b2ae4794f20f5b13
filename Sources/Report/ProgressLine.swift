internal import Foundation

/// How far some work has come, in one line: `level 3: 120 of 576 blocks (20.8%), 34.5/s, 13 s left`.
///
/// It has no clock: the caller says how much time has passed.
public struct ProgressLine: Sendable, Hashable, CustomStringConvertible {
    /// What is worked on, e.g. `level 3`.
    public var label: String
    /// What is counted, e.g. `blocks`.
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

    /// The progress of `label` from plain numbers.
    public init(
        label: String, unit: String, done: Int, total: Int, doneBefore: Int = 0, elapsed: Double,
        isEstimate: Bool = false
    ) {
        self.label = label
        self.unit = unit
        self.done = done
        self.total = total
        self.doneBefore = doneBefore
        self.elapsed = elapsed
        self.isEstimate = isEstimate
    }

    /// How many were done per second; `nil` before there is anything to tell it from.
    public var rate: Double? {
        elapsed > 0 && elapsed.isFinite && done > doneBefore ? Double(done - doneBefore) / elapsed : nil
    }

    /// The seconds that the rest will take at this rate; `nil` while that is not known.
    public var remaining: Double? { rate.map { Double(max(0, total - done)) / $0 } }

    /// The line.
    public var description: String {
        var line = "\(label): \(NumberText.grouped(done)) of \(about)\(NumberText.grouped(total)) \(unit)"
        if total > 0 { line += " (\(NumberText.share(done, of: total)))" }
        if let rate { line += String(format: rate < 9.95 ? ", %.2f/s" : ", %.1f/s", rate) }
        if let remaining, done < total { line += ", \(about)\(NumberText.duration(remaining)) left" }
        return line
    }

    private var about: String { isEstimate ? "about " : "" }
}
