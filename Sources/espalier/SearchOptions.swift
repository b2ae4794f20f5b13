public import ArgumentParser
internal import ComputationGraph
internal import Pruning
public import Search

/// The options that say what a search may remove, what it makes small, and when it stops.
struct SearchOptions: ParsableArguments {
    @Option(
        name: .long,
        help: """
            Which edges may be removed: branches (skip connections, residual branches, attention and MLP blocks), all, \
            or a regular expression on names and operators.
            """)
    var candidates = "branches"
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"))
    var until: Budget?
    @Option(name: .long, help: "What is made small: absolute (|L' - L|) or signed (L' - L).")
    var objective: Objective = .absolute

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
    }

    /// The edges that may be removed.
    var selection: CandidateSelection { .init(argument: candidates) }
}

extension Budget: ExpressibleByArgument {}
extension Objective: ExpressibleByArgument {}
