internal import ComputationGraph
public import FoundationEssentials
internal import Report
internal import Search

extension Comparison {
    /// The comparison as a page: charts of loss and accuracy against cost, and tables of every step, with the words that they use.
    ///
    /// - Parameters:
    ///   - options: what was asked for.
    ///   - date: when it was over.
    public func html(_ options: CompareOptions, at date: Date = .now) -> String {
        ComparisonPage(self, options, date).html
    }
}

/// Writes a comparison's page.
private struct ComparisonPage {
    private let comparison: Comparison
    private let options: CompareOptions
    private let date: Date
    private let looks: [SeriesLook]
    private let names: [Unit: String]
    private var page: HTMLPage

    /// Longer lists are folded.
    private static let longestList = 12

    private var base: MeasuredState { comparison.base }
    private var strategies: [Comparison.Entry] { comparison.strategies }
    /// What losses are measured after.
    private var recovers: Bool { comparison.fitData != nil }

    init(_ comparison: Comparison, _ options: CompareOptions, _ date: Date) {
        (self.comparison, self.options, self.date) = (comparison, options, date)
        looks = Self.looks(of: comparison.strategies.map(\.strategy))
        page = HTMLPage(title: "Pruning strategies on \(options.model)")
        let units = Set(comparison.strategies.flatMap { $0.path.flatMap { $0.removed } })
        names = Dictionary(
            uniqueKeysWithValues: units.map { ($0, comparison.names($0)?.described ?? $0.shortDescription) })
    }

    /// Strategies of a family, such as `beam:2` and `beam:4+train:50`, have one colour; random ones are the baseline.
    private static func looks(of strategies: [String]) -> [SeriesLook] {
        var (families, members): ([String], [String: Int]) = ([], [:])
        return strategies.map { strategy in
            let family = String(strategy.prefix { $0 != ":" && $0 != "+" })
            let member = members[family, default: 0]
            members[family] = member + 1
            guard family != "random" else { return SeriesLook(family: nil, member: member) }
            if !families.contains(family) { families.append(family) }
            return SeriesLook(family: families.firstIndex(of: family), member: member)
        }
    }

    /// The whole page.
    var html: String {
        var writer = self
        writer.addFacts()
        writer.addStrategies()
        writer.addLosses()
        writer.addFront()
        writer.addAccuracy()
        writer.addHeldOut()
        writer.addSteps()
        writer.addWork()
        writer.addAgreements()
        return writer.page.html
    }
}

// MARK: What was asked for

extension ComparisonPage {
    private mutating func addFacts() {
        let samples = NumberText.counted(comparison.samples, "sample")
        var facts = [("model", options.model), ("data", "\(options.measurement.data), \(samples) measured")]
        if let validation = options.validation {
            facts.append(("held-out data", "\(validation), which no strategy sees"))
        }
        let meaning = Glossary.meaning(ofLoss: comparison.lossFunction).map { ": \($0)" } ?? ""
        facts.append(
            ("loss", "\(comparison.lossFunction)\(meaning); the mean over the samples, less is better"))
        if let fitData = comparison.fitData {
            let whose =
                options.measurement.recovery.recovery.isNone ? " of the strategies that name a recovery" : ""
            facts.append(
                (
                    "recovery",
                    "what is left adapts to each removal\(whose) before it is measured, fitted on \(fitData)"
                ))
        }
        facts.append(("unpruned model", "\(base.measurement.brief); \(size(base.cost))"))
        let time = date.ISO8601Format().replacing("T", with: " ").replacing("Z", with: " UTC")
        facts.append(("made", "\(time), by Espalier \(Espalier.version)"))
        let typed = options.commandLine.dropFirst()
        page.facts(
            facts.map { (name: $0.0, text: $0.1) },
            command: typed.isEmpty ? [] : ["espalier"] + typed.map(Self.quoted))
        for warning in comparison.warnings { page.warning(warning) }
    }

    /// A word as a shell takes it.
    private static func quoted(_ word: String) -> String {
        let isPlain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=,+@%".contains($0) }
        return isPlain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
    }

    private mutating func addStrategies() {
        page.heading("Strategies")
        page.paragraph(
            "Each strategy prunes the unpruned model step by step. A step is a removal: an edge, or a group of channels, heads or "
                + "neurons, with all that nothing reads any more. The numbers are those of a strategy's last step."
        )
        var titles = ["strategy", "steps", "loss", "accuracy", "parameters left", "FLOPs left"]
        if !comparison.models.isEmpty { titles.append("model") }
        page.table(
            titles,
            rows: strategies.indices.map { index in
                let entry = strategies[index]
                let last = entry.path.last
                var row: [HTMLPage.Cell] = [.line(looks[index], entry.strategy), "\(entry.path.count)"]
                row += cells(last?.measurement)
                row += shares(last?.cost)
                if comparison.models.indices.contains(index) { row.append(.text(comparison.models[index])) }
                return row
            })
        var meanings: [(name: String, text: String)] = []
        for name in strategies.map(\.strategy) {
            let meaning = Glossary.meaning(ofStrategy: name)
            if let last = meanings.indices.last, meanings[last].text == meaning {
                meanings[last].name += ", " + name
            } else {
                meanings.append((name, meaning))
            }
        }
        page.facts(meanings)
    }

    private func size(_ cost: Cost) -> String {
        "\(NumberText.grouped(cost.parameters)) parameters, \(NumberText.grouped(cost.flops)) FLOPs a sample"
    }
}

// MARK: Charts

extension ComparisonPage {
    private static let flops = "FLOPs left, % of the unpruned model's"
    private static let frontMeaning =
        "Rings mark this chart's Pareto front: the states that no other one beats, for whatever costs as little has "

    private mutating func addLosses() {
        page.heading("Loss")
        page.paragraph(
            "FLOPs are the floating-point operations of one sample's way through the model; parameters are its weights. Each marker "
                + "is the state after a step; lines start at the unpruned model, at 100\u{a0}%, and go to the left as it shrinks. The best "
                + "states are at the lower left. Point at a marker to see what was removed.")
        let loss = "loss (\(comparison.lossFunction))"
        page.chart(
            chart(Self.flops, loss, { $0.flops }, { $0.finiteLoss }),
            caption: Self.frontMeaning
                + "a higher loss. The first strategy's line is broad, so that those that found the same "
                + "states show on top of it.")
        page.chart(
            chart("parameters left, % of the unpruned model's", loss, { $0.parameters }, { $0.finiteLoss }),
            caption: "The same states by their parameters. " + Self.frontMeaning + "a higher loss.")
    }

    private mutating func addFront() {
        page.heading("Pareto front of loss and FLOPs")
        page.paragraph(
            "The states that no other one beats, those with rings in the first chart: whatever has as few FLOPs has a higher loss. "
                + "Where several strategies found the same state, the first is named.")
        let states = strategies.indices.flatMap { index in
            strategies[index].path.enumerated().map { (index, $0.offset + 1, $0.element) }
        }
        let all = [(nil, 0, base)] + states as [(strategy: Int?, step: Int, state: MeasuredState)]
        let front = ParetoFront.indices(
            of: all.map { (Double($0.state.cost.flops), $0.state.loss) }, .lowest
        ).map { all[$0] }
        page.table(
            ["FLOPs left", "parameters left", "loss", "accuracy", "strategy", "step", "removed last"],
            rows: front.map { index, step, state in
                let shares = shares(state.cost)
                return [shares[1], shares[0]] + cells(state.measurement)
                    + [
                        index.map { .line(looks[$0], strategies[$0].strategy) } ?? "unpruned", "\(step)",
                        removed(state),
                    ]
            }, fold: front.count > Self.longestList ? "\(front.count) states" : nil)
    }

    private mutating func addAccuracy() {
        guard base.accuracy != nil else { return }
        page.heading("Accuracy")
        page.paragraph(
            "The share of labels that the model predicts rightly, on the data that the strategies see.")
        page.chart(
            chart(
                Self.flops, "accuracy, % of the labels", { $0.flops }, { $0.accuracy.map { $0 * 100 } },
                prefersHigh: true),
            caption: Self.frontMeaning + "a lower accuracy.")
    }

    private mutating func addHeldOut() {
        guard let held = base.heldOut else { return }
        page.heading("Held-out data")
        page.paragraph(
            "The same states on data that no strategy has seen: what a strategy gains on the data it chose by, and loses here, is no "
                + "gain. The unpruned model: \(held.brief).")
        page.chart(
            chart(
                Self.flops, "held-out loss (\(comparison.lossFunction))", { $0.flops }, { $0.finiteLoss },
                heldOut: true),
            caption: Self.frontMeaning + "a higher loss.")
    }

    private func chart(
        _ x: String, _ y: String, _ cost: (Cost) -> Int,
        _ value: (MeasuredState.Measurement) -> Double?, heldOut: Bool = false, prefersHigh: Bool = false
    ) -> LineChart {
        func shown(_ state: MeasuredState) -> Double? {
            (heldOut ? state.heldOut : state.measurement).flatMap(value)
        }
        let whole = Double(max(1, cost(base.cost)))
        let unpruned = shown(base)
        let series = zip(strategies, looks).map { entry, look in
            let start = unpruned.map {
                [LineChart.Point(x: 100, y: $0, note: "unpruned: \(NumberText.significant($0))")]
            }
            let points = entry.path.enumerated().compactMap { index, state -> LineChart.Point? in
                guard let y = shown(state) else { return nil }
                let removed = state.removed.map { names[$0] ?? $0.description }.joined(separator: ", ")
                return LineChart.Point(
                    x: Double(cost(state.cost)) / whole * 100, y: y,
                    note:
                        "\(entry.strategy), step \(index + 1): \(NumberText.significant(y)), removed \(removed)"
                )
            }
            return LineChart.Series(
                name: entry.strategy, points: (start ?? []) + points, look: look,
                isFaint: entry.strategy.hasPrefix("random"))
        }
        return LineChart(
            series, x: x, y: y, reference: unpruned.map { ($0, "unpruned") }, prefersHigh: prefersHigh)
    }
}

// MARK: Tables

extension ComparisonPage {
    private mutating func addSteps() {
        page.heading("Every step")
        var titles = [
            "step", "strategy", "loss", "accuracy", "parameters", "FLOPs", "parameters left", "FLOPs left",
        ]
        var words = ""
        if recovers {
            titles.append("at the cut")
            words += " The loss at the cut is that before the recovery."
        }
        if base.heldOut != nil {
            titles += ["held-out loss", "held-out accuracy"]
            words += " Held-out numbers are on data that no strategy has seen."
        }
        page.paragraph(
            "An edge is written NODE:SLOT, the index of the node that reads it and the input slot, with the names of what it "
                + "connects or of the module that goes with it." + words)
        let rows = (1...max(1, strategies.map(\.path.count).max() ?? 1)).flatMap { number in
            strategies.indices.filter { strategies[$0].path.count >= number }.map { index in
                let state = strategies[index].path[number - 1]
                var row: [HTMLPage.Cell] = ["\(number)", .line(looks[index], strategies[index].strategy)]
                row += cells(state.measurement)
                row += [
                    "\(NumberText.grouped(state.cost.parameters))", "\(NumberText.grouped(state.cost.flops))",
                ]
                row += shares(state.cost)
                if recovers { row.append("\(state.atCut.map { Self.decimal($0.finiteLoss) } ?? "-")") }
                if base.heldOut != nil { row += cells(state.heldOut) }
                return row + [removed(state)]
            }
        }
        page.table(
            titles + ["removed last"], rows: rows,
            fold: rows.count > Self.longestList ? "\(rows.count) states" : nil)
    }

    /// What a state's step removed, which opens to everything that is removed.
    private func removed(_ state: MeasuredState) -> HTMLPage.Cell {
        let all = state.removed.map { names[$0] ?? $0.shortDescription }
        let last = ([state.unit].compactMap { $0 } + state.alongside).map { names[$0] ?? $0.shortDescription }
        guard let first = last.first else { return .text(all.joined(separator: ", ")) }
        let others = all.count - 1
        return others > 0 ? .folded("\(first) and \(others) before", all) : .text(first)
    }

    private mutating func addWork() {
        page.heading("Work")
        page.paragraph(
            "Samples are measured in blocks, and a candidate is dropped once its blocks show that it cannot win. A block evaluation "
                + "is one set of removals on one block. Brute force measures everything in full; perfect foresight would know the "
                + "best losses beforehand, and prove them with so few. New are those that no strategy above had done already."
        )
        page.table(
            ["strategy", "block evaluations", "by brute force", "with perfect foresight", "new", "time"],
            rows: strategies.indices.map { index in
                let entry = strategies[index]
                return [
                    .line(looks[index], entry.strategy), "\(NumberText.grouped(entry.work.blockEvaluations))",
                    "\(NumberText.grouped(entry.work.bruteForceBlockEvaluations))",
                    "\(NumberText.grouped(entry.work.oracleBlockEvaluations))",
                    "\(NumberText.grouped(entry.newBlockEvaluations))",
                    "\(NumberText.duration(entry.seconds))",
                ]
            })
    }

    private mutating func addAgreements() {
        guard !comparison.agreements.isEmpty else { return }
        page.heading("Criteria against the exact loss after the recovery")
        page.paragraph(
            "How well a cheap score, or the exact loss at the cut, orders what the recovery makes of each possible removal. Kendall's "
                + "τ compares two orders: 1 for the same, 0 for chance, −1 for the reverse. The regret is how much worse the "
                + "criterion's first choice is than the best removal. The rank is that choice's place in the exact order."
        )
        let rows = comparison.agreements.map { agreement -> [HTMLPage.Cell] in
            [
                "\(agreement.step)", "\(agreement.criterion)",
                "\(agreement.kendall.map(NumberText.significant) ?? "undefined")",
                "\(agreement.regret.map(NumberText.significant) ?? "")",
                "\(agreement.exactRank.map { "\($0) of \(agreement.compared)" } ?? "")",
            ]
        }
        page.table(
            ["removals before", "criterion", "Kendall's τ", "regret", "rank of its first choice"], rows: rows,
            fold: rows.count > 2 * Self.longestList ? "\(rows.count) comparisons" : nil)
    }

    private func cells(_ measurement: MeasuredState.Measurement?) -> [HTMLPage.Cell] {
        [
            "\(measurement.map { Self.decimal($0.finiteLoss) } ?? "")",
            "\(measurement?.accuracy.map { NumberText.percent($0) } ?? "")",
        ]
    }

    private func shares(_ cost: Cost?) -> [HTMLPage.Cell] {
        [
            "\(cost.map { NumberText.share($0.parameters, of: base.cost.parameters) } ?? "")",
            "\(cost.map { NumberText.share($0.flops, of: base.cost.flops) } ?? "")",
        ]
    }

    private static func decimal(_ value: Double?) -> String {
        value.map(NumberText.significant) ?? "not finite"
    }
}
