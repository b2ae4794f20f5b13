internal import ComputationGraph
internal import Search

/// What screening left out, in the form of the JSON.
struct ScreeningRecord: Encodable {
    struct Interval: Encodable {
        let low: Double
        let high: Double
    }

    struct LevelRecord: Encodable {
        let number: Int
        let measured: Int
        let skipped: Int
        let audited: Int
        let missed: Int
        /// The share of what was left out that would have been kept, by Clopper and Pearson.
        let missedShare: Interval?
        let regret: Double?
        /// The edges of the best that was drawn, where it is better than what was chosen.
        let better: [String]?
        /// How well each rung orders what the next one makes; left out where nothing is trained.
        let rungs: [RungRecord]?
    }

    struct RungRecord: Encodable {
        let from: String
        let to: String
        let compared: Int
        let kendall: Double?
        let regret: Double?
    }

    let perState: Int
    let audits: Int
    let seed: UInt64
    let confidence: Double
    let levels: [LevelRecord]
    let skipped: Int
    let audited: Int
    /// How many of all left out would have been kept.
    let missed: Interval
    let regret: Double

    init(_ report: ScreeningReport) {
        perState = report.settings.perState
        audits = report.settings.audits
        seed = report.settings.seed
        confidence = ScreeningReport.confidence
        levels = report.levels.map { level in
            LevelRecord(
                number: level.number, measured: level.measured, skipped: level.skipped,
                audited: level.audited,
                missed: level.missed,
                missedShare: level.missedShare().map { Interval(low: $0.lower, high: $0.upper) },
                regret: level.regret.flatMap { $0.isFinite ? $0 : nil },
                better: level.better?.units.map(\.description),
                rungs: level.rungs.isEmpty
                    ? nil
                    : level.rungs.map {
                        RungRecord(
                            from: $0.from, to: $0.to, compared: $0.compared, kendall: $0.kendall,
                            regret: $0.regret)
                    })
        }
        skipped = report.levels.reduce(0) { $0 + $1.skipped }
        audited = report.levels.reduce(0) { $0 + $1.audited }
        missed = Interval(low: report.missed.lowerBound, high: report.missed.upperBound)
        regret = report.regret
    }
}

extension SummaryText {
    /// What was left out, and what the audit of it showed, or that nothing was.
    static func exactness(
        of summary: RunSummary, table: (TextTable) -> String, prose: (String) -> String
    ) -> String {
        guard let report = summary.screening else {
            return prose(
                "The result is exact: every expansion was measured in full, or proven to be worse.\n")
        }
        let record = ScreeningRecord(report)
        var rows = TextTable(["step", "measured", "left out", "drawn", "missed", "share missed", "regret"])
        for level in record.levels {
            let share = level.missedShare.map {
                NumberText.percent($0.low) + " to " + NumberText.percent($0.high)
            }
            rows.append(
                [level.number, level.measured, level.skipped, level.audited, level.missed].map {
                    NumberText.grouped($0)
                } + [share ?? "", level.regret.map { NumberText.significant($0) } ?? ""])
        }
        let halving =
            report.settings.halving.map {
                ", then half of them after \($0.map(String.init).joined(separator: ", ")) steps"
            }
            ?? ""
        let option = (report.settings.criterion == .lossAtCut ? "--shortlist" : "--screen") + halving
        let (low, high) = (record.missed.low.rounded(.up), record.missed.high.rounded(.down))
        return prose(
            "The result is not exact: only the \(record.perState) most promising expansions of each state were "
                + "measured (\(option)). Of the others some were drawn at random and measured in full. Missed are those "
                + "that would have been kept; regret is how much better the best of them is than what was chosen.\n\n"
        )
            + table(rows)
            + prose(
                "\nWith \(NumberText.percent(record.confidence)) confidence, \(NumberText.grouped(Int(low))) to "
                    + "\(NumberText.grouped(Int(max(low, high)))) of \(NumberText.counted(record.skipped, "expansion")) left "
                    + "out would have been kept (Clopper-Pearson intervals, Bonferroni's correction); the measured regret of "
                    + "all steps is \(NumberText.significant(record.regret)).\n")
            + rungs(of: record, table: table)
    }

    /// How well rungs of the recovery order what the next ones make; nothing where nothing is trained.
    private static func rungs(of record: ScreeningRecord, table: (TextTable) -> String) -> String {
        var rows = TextTable(["step", "chosen by", "against", "compared", "Kendall's tau", "regret"])
        var isEmpty = true
        for level in record.levels {
            for rung in level.rungs ?? [] where rung.compared > 1 {
                isEmpty = false
                rows.append([
                    NumberText.grouped(level.number), rung.from, rung.to, NumberText.grouped(rung.compared),
                    rung.kendall.map { NumberText.significant($0) } ?? "",
                    rung.regret.map { NumberText.significant($0) } ?? "",
                ])
            }
        }
        return isEmpty
            ? ""
            : "\nHow well each rung orders what the next one makes of the expansions that go on to it:\n\n"
                + table(rows)
    }
}
