internal import Files
public import Search

/// A strategy as `compare` names it: a search, or a criterion that ranks all edges once.
public enum ComparedStrategy: Sendable, Hashable, CustomStringConvertible {
    case search(Strategy)
    case oneShot(Criterion)
    /// The random strategy with every seed that the comparison takes.
    case randomSeeds
    /// Greedy by the loss before the recovery; what it chose is then measured after it.
    case greedyAtCut

    /// The name of `greedyAtCut`.
    static let greedyAtCutName = "greedy-at-cut"

    /// Reads `greedy`, `greedy-at-cut`, `beam:K`, `exhaustive`, `random`, `random:SEED`, or the name of a criterion.
    public init?(_ text: String) {
        if text == "random" {
            self = .randomSeeds
        } else if text == ComparedStrategy.greedyAtCutName {
            self = .greedyAtCut
        } else if let strategy = Strategy(text) {
            self = .search(strategy)
        } else if let criterion = Criterion(rawValue: text) {
            self = .oneShot(criterion)
        } else {
            return nil
        }
    }

    /// The name that the initialiser reads.
    public var description: String {
        switch self {
        case .search(let strategy): strategy.description
        case .oneShot(let criterion): criterion.rawValue
        case .randomSeeds: "random"
        case .greedyAtCut: ComparedStrategy.greedyAtCutName
        }
    }
}

/// A strategy with what adapts to its removals before they are measured.
public struct Contestant: Sendable, Hashable, CustomStringConvertible {
    /// The strategy.
    public let strategy: ComparedStrategy
    /// What adapts; `nil` for what the whole comparison has.
    public let rungs: RungList?

    /// Reads a strategy, with a plus and kinds of recovery behind it: `greedy`, `beam:4+train:50`, `greedy+none`.
    public init?(_ text: String) {
        let parts = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        guard let strategy = ComparedStrategy(parts[0]) else { return nil }
        var rungs: RungList?
        if parts.count > 1 {
            guard let own = RungList(parts[1]), !own.replacesByMean, strategy != .greedyAtCut else {
                return nil
            }
            rungs = own
        }
        (self.strategy, self.rungs) = (strategy, rungs)
    }

    /// The text that the initialiser reads.
    public var description: String { strategy.description + suffix }

    /// What stands behind the strategy.
    var suffix: String { rungs.map { "+\($0)" } ?? "" }

    /// Reads a list separated by commas.
    ///
    /// - Throws: `InputError` that names what is no strategy.
    public static func list(_ text: String) throws(InputError) -> [Contestant] {
        var contestants: [Contestant] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            guard let contestant = Contestant(name) else {
                let criteria = Criterion.allCases.filter { $0 != .random }.map(\.rawValue)
                let word = String(name.prefix { $0 != "+" && $0 != ":" })
                throw InputError(
                    "'\(name)' is no strategy: there are greedy, greedy-at-cut, beam:K, exhaustive, random, "
                        + criteria.joined(separator: ", ")
                        + ", and behind all but greedy-at-cut what adapts, e.g. +least-squares or +train:50"
                        + Suggestion.text(
                            for: word,
                            among: ["greedy", "greedy-at-cut", "beam", "exhaustive", "random"] + criteria))
            }
            if !contestants.contains(contestant) { contestants.append(contestant) }
        }
        return contestants
    }
}
