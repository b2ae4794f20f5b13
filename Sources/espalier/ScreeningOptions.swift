internal import ArgumentParser
internal import Search

/// The options that limit what is measured.
struct ScreeningOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Measure only the N most promising expansions of each state, as Taylor terms predict them. Faster, and not "
                + "exact: what was missed is estimated and reported.",
            valueName: "N"))
    var screen: Int?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --recover: refit and measure only the N expansions of each state whose loss before the recovery is least. "
                + "Faster, and not exact: what was missed is estimated and reported.",
            valueName: "N"))
    var shortlist: Int?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --screen or --shortlist: of the expansions left out at each step, how many are drawn at random and measured in full.",
            valueName: "M"))
    var audit = 8
    @Option(name: .long, help: "With --screen or --shortlist: the seed of that draw.")
    var auditSeed: UInt64 = 0

    /// - Throws: `ValidationError` for what cannot be screened.
    func check(_ strategy: StrategyName, recovers: Bool) throws {
        if let shortlist, shortlist < 1 { throw ValidationError("--shortlist must be at least 1") }
        if shortlist != nil, screen != nil {
            throw ValidationError("--screen and --shortlist exclude each other")
        }
        if shortlist != nil, !recovers {
            throw ValidationError("--shortlist needs --recover least-squares or norm")
        }
        if let screen, screen < 1 { throw ValidationError("--screen must be at least 1") }
        if audit < 0 { throw ValidationError("--audit must be at least 0") }
        if screen != nil || shortlist != nil, strategy != .greedy, strategy != .beam {
            throw ValidationError(
                "\(screen == nil ? "--shortlist" : "--screen") goes with the strategies greedy and beam, not with \(strategy.rawValue)"
            )
        }
    }

    var settings: Screening? {
        if let screen { return Screening(perState: screen, audits: audit, seed: auditSeed) }
        return shortlist.map {
            Screening(perState: $0, audits: audit, seed: auditSeed, criterion: .lossAtCut)
        }
    }
}
