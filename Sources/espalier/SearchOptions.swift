public import ArgumentParser
internal import ComputationGraph
internal import Pruning
public import Search

/// The options that say what a search may remove, what it makes small, and when it stops.
struct SearchOptions: ParsableArguments {
    @Option(
        name: .long,
        help: """
            Which edges may be removed: blocks (residual bodies, skip connections, attentions, MLPs, operands of \
            concatenations, as far as something is saved), branches (whatever enters a node beside another branch), \
            all, or a regular expression on module names ('layer3.*'), node names and operators.
            """)
    var candidates = "blocks"
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"))
    var until: Budget?
    @Option(name: .long, help: "What is made small: absolute (|L' - L|) or signed (L' - L).")
    var objective: Objective = .absolute

    @Option(
        name: .long,
        help: ArgumentHelp(
            "What a removal's change is divided by: removal (nothing), parameters or flops, what it saves of them.",
            discussion: """
                By default what --until counts, and without a budget removal. Removals that lower the loss come first, \
                the largest saving before others; removals that save nothing are not made.
                """))
    var per: Per?

    /// What a removal's change is divided by.
    enum Per: String, ExpressibleByArgument, CaseIterable {
        case removal, parameters, flops
    }

    /// What changes are divided by the saving of; `nil` for nothing.
    var pricedQuantity: Budget.Quantity? {
        switch per {
        case .removal: nil
        case .parameters: .parameters
        case .flops: .flops
        case nil: until?.quantity
        }
    }

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
    }

    /// The edges that may be removed.
    var selection: CandidateSelection { .init(argument: candidates) }
}

extension Budget: ExpressibleByArgument {}
extension Objective: ExpressibleByArgument {}
