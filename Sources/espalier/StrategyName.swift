internal import ArgumentParser
internal import Files
internal import Search

/// A strategy's name, perhaps with its parameter behind a colon: `beam:4`, `random:7`.
struct StrategyName: Equatable {
    /// The strategies.
    enum Name: String, CaseIterable { case greedy, beam, exhaustive, random }

    let name: Name
    /// A beam's width, or the seed of a random search; `nil` where an option of its own gives it.
    private let parameter: UInt64?

    static let greedy = StrategyName(.greedy)

    private init(_ name: Name) { (self.name, parameter) = (name, nil) }

    init(_ argument: String) throws {
        let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        let names = Name.allCases.map(\.rawValue)
        guard let name = Name(rawValue: parts[0]) else {
            throw ValidationError(
                "the strategy '\(argument)' is none of greedy, beam:K, exhaustive, random:SEED"
                    + Suggestion.text(for: parts[0], among: names))
        }
        self.name = name
        guard parts.count == 2 else {
            parameter = nil
            return
        }
        guard Strategy(argument) != nil, let number = UInt64(parts[1]) else {
            throw ValidationError(
                name == .beam || name == .random
                    ? "the strategy '\(argument)' takes a whole number behind the colon: beam:4, random:7"
                    : "the strategy '\(name.rawValue)' takes nothing behind a colon, not '\(parts[1])'")
        }
        parameter = number
    }

    /// The strategy, with a width or seed that options give.
    ///
    /// - Throws: `ValidationError` for one that it does not have, or that is given twice.
    func strategy(width: Int?, seed: UInt64?) throws -> Strategy {
        if width != nil, name != .beam || parameter != nil {
            throw ValidationError("--beam-width goes with --strategy beam, without a width behind it")
        }
        if seed != nil, name != .random || parameter != nil {
            throw ValidationError("--seed goes with --strategy random, without a seed behind it")
        }
        return switch name {
        case .greedy: .greedy
        case .beam: .beam(width: parameter.map(Int.init(clamping:)) ?? width ?? Strategy.usualWidth)
        case .exhaustive: .exhaustive
        case .random: .random(seed: parameter ?? seed ?? 0)
        }
    }
}
