internal import ArgumentParser
internal import Search

/// A strategy's name; its parameters are options of their own.
enum StrategyName: String {
    case greedy, beam, exhaustive, random

    init(_ argument: String) throws {
        guard let name = StrategyName(rawValue: argument) else {
            throw ValidationError("the strategy '\(argument)' is none of greedy, beam, exhaustive, random")
        }
        self = name
    }

    func strategy(width: Int, seed: UInt64) -> Strategy {
        switch self {
        case .greedy: .greedy
        case .beam: .beam(width: width)
        case .exhaustive: .exhaustive
        case .random: .random(seed: seed)
        }
    }
}
