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

    /// Reads a list separated by commas.
    ///
    /// - Throws: `InputError` that names what is no strategy.
    public static func list(_ text: String) throws(InputError) -> [ComparedStrategy] {
        var strategies: [ComparedStrategy] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            guard let strategy = ComparedStrategy(name) else {
                throw InputError(
                    "'\(name)' is no strategy: there are greedy, greedy-at-cut, beam:K, exhaustive, random, "
                        + Criterion.allCases.filter { $0 != .random }.map(\.rawValue).joined(separator: ", "))
            }
            if !strategies.contains(strategy) { strategies.append(strategy) }
        }
        return strategies
    }
}
