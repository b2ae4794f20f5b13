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
                + "Faster, and not exact: what was missed is estimated and reported. (default: all)",
            valueName: "N|all"),
        transform: { text in
            guard text != "all" else { return Int?.none }
            guard let count = Int(text), count >= 1 else {
                throw ValidationError("--shortlist must be all, or a number of at least 1, not '\(text)'")
            }
            return count
        })
    var shortlist: Int? = nil
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --recover train:STEPS and --shortlist: train the shortlist for A steps, the better half for B, and so on; those "
                + "that are left are trained in full and decide.",
            valueName: "A,B,…"))
    var halving: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "With --screen or --shortlist: of the expansions left out at each step, how many are drawn at random and measured in full. "
                + "(default: 8)",
            valueName: "M"))
    var audit: Int?
    @Option(name: .long, help: "With --screen or --shortlist: the seed of that draw. (default: 0)")
    var auditSeed: UInt64?

    /// - Throws: `ValidationError` for what cannot be screened.
    func check(_ strategy: StrategyName, recovers: Bool, trainingSteps: Int?) throws {
        if halving != nil {
            guard let heats, !heats.isEmpty, zip(heats, heats.dropFirst()).allSatisfy({ $0 < $1 }),
                heats[0] > 0
            else { throw ValidationError("--halving must be numbers of steps, ascending: 10,30") }
            guard let trainingSteps, shortlist != nil, let last = heats.last, last < trainingSteps else {
                throw ValidationError(
                    "--halving needs --shortlist and --recover train:STEPS, with fewer steps than those")
            }
        }
        if shortlist != nil, screen != nil {
            throw ValidationError("--screen and --shortlist exclude each other")
        }
        if shortlist != nil, !recovers {
            throw ValidationError("--shortlist needs --recover least-squares or norm")
        }
        if let screen, screen < 1 { throw ValidationError("--screen must be at least 1") }
        if let audit, audit < 0 { throw ValidationError("--audit must be at least 0") }
        if screen == nil, shortlist == nil, audit != nil || auditSeed != nil {
            throw ValidationError("--audit and --audit-seed go with --screen or --shortlist")
        }
        if screen != nil || shortlist != nil, strategy.name != .greedy, strategy.name != .beam {
            throw ValidationError(
                "\(screen == nil ? "--shortlist" : "--screen") goes with the strategies greedy and beam, not with \(strategy.name.rawValue)"
            )
        }
    }

    private var heats: [Int]? {
        let parts = halving?.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) } ?? []
        return parts.contains(nil) ? nil : parts.compactMap { $0 }
    }

    var settings: Screening? {
        let (audits, seed) = (audit ?? 8, auditSeed ?? 0)
        if let screen { return Screening(perState: screen, audits: audits, seed: seed) }
        return shortlist.map {
            Screening(
                perState: $0, audits: audits, seed: seed, criterion: .lossAtCut, halving: heats ?? [])
        }
    }
}
