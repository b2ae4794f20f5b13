public import ArgumentParser
public import ComputationGraph
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
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What may be removed: edges, layers, or edges,layers. Who reads a removed layer reads what --replace says.",
            valueName: "kinds"))
    var units = UnitKinds(kinds: [.edge])
    @OptionGroup var replacing: ReplaceOption
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"))
    var until: Budget?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What is made small: absolute (|L' - L|) or signed (L' - L). (default: absolute; with --recover signed, since "
                + "what adapts may well become better)"))
    var objective: Objective?

    /// What is made small.
    ///
    /// - Parameter recovers: whether weights are refitted before a removal is measured.
    func objective(recovers: Bool) -> Objective { objective ?? (recovers ? .signed : .absolute) }

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

    /// The kinds of units, and what they read instead.
    var unitSelection: UnitSelection { UnitSelection(kinds: units.kinds, replacement: replacing.replace) }

    /// The edges that may be removed.
    var selection: CandidateSelection { .init(argument: candidates) }
}

/// Kinds of units, separated by commas.
struct UnitKinds: ExpressibleByArgument, CustomStringConvertible {
    let kinds: Set<ComputationGraph.Unit.Kind>

    init(kinds: Set<ComputationGraph.Unit.Kind>) { self.kinds = kinds }

    init?(argument: String) {
        let names: [String: ComputationGraph.Unit.Kind] = ["edges": .edge, "layers": .layer]
        var kinds: Set<ComputationGraph.Unit.Kind> = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let kind = names[String(part)] else { return nil }
            kinds.insert(kind)
        }
        guard !kinds.isEmpty else { return nil }
        self.kinds = kinds
    }

    var description: String {
        [(ComputationGraph.Unit.Kind.edge, "edges"), (.layer, "layers")].filter { kinds.contains($0.0) }
            .map(\.1).joined(separator: ",")
    }
    var defaultValueDescription: String { description }
}

/// What removed slots read.
struct ReplaceOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What is read instead of what is removed: zero; mean, the value's mean over the data; or bypass, for layers: "
                + "their input, where its shape is the output's (zeros where it is not, and for edges).",
            valueName: "replacement"))
    var replace = Replacement.zero
}

extension Replacement: ExpressibleByArgument {}

extension Budget: ExpressibleByArgument {}
extension Objective: ExpressibleByArgument {}
