public import ArgumentParser
public import ComputationGraph
internal import Files
internal import Pruning
public import Search

/// When a search stops.
struct LimitOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Stop after N removals.", valueName: "N"))
    var steps: Int?
    @Option(
        name: .long,
        help: ArgumentHelp("Stop at a share of the cost: parameters=0.5 or flops=0.5.", valueName: "budget"),
        completion: .list(["flops=0.", "parameters=0."]))
    var until: Budget?

    func validate() throws {
        if let steps, steps < 1 { throw ValidationError("--steps must be at least 1") }
    }
}

/// What a search makes small.
struct ChoiceOptions: ParsableArguments {
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
    func pricedQuantity(until budget: Budget?) -> Budget.Quantity? {
        switch per {
        case .removal: nil
        case .parameters: .parameters
        case .flops: .flops
        case nil: budget?.quantity
        }
    }
}

/// What a search may remove.
struct RemovableOptions: ParsableArguments {
    @Option(
        name: .long,
        help: """
            Which edges may be removed: blocks (residual bodies, skip connections, attentions, MLPs, operands of \
            concatenations, as far as something is saved), branches (whatever enters a node beside another branch), \
            all, or a regular expression on module names ('layer3.*'), node names and operators.
            """, completion: .list(["blocks", "branches", "all"]))
    var candidates = "blocks"
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What may be removed, separated by commas: edges, layers, channels, heads, neurons. (default: edges)",
            discussion: """
                Who reads a removed layer reads what --replace says. Channels, heads and neurons go with all that is coupled to \
                them (inspect --units lists them); channels are neurons too. channels:8 divides a layer's channels into 8 \
                chunks, each of which may go once those before it are gone: 8 unless told otherwise, and single heads.
                """,
            valueName: "kinds"),
        completion: .list(["edges", "layers", "channels:8", "heads", "neurons:8"]),
        transform: UnitKinds.init(reading:))
    var units = UnitKinds(kinds: [.edge])
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What orders the channels, heads or neurons inside a layer; the exact loss decides between layers.",
            discussion: """
                magnitude: the norm of all weights that go with one. taylor1, fisher: the first Taylor term of the loss and the \
                empirical Fisher information, from gradients on the data. wanda: the weights that read one times its \
                activations on the data, without gradients or labels. position: as they stand in the file.
                """, valueName: "order"))
    var within = Chunking.Order.magnitude
    @Flag(
        name: .long,
        help:
            "Work out the order inside layers after every step, from what is left: for taylor1, fisher and wanda."
    )
    var renewOrder = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave a multiple of N of a layer's channels or neurons, where it can be: many machines are faster then.",
            valueName: "N"))
    var roundTo = 1

    func validate() throws {
        if roundTo < 1 || roundTo > 1024 { throw ValidationError("--round-to must be between 1 and 1024") }
        if renewOrder, within.criterion == nil {
            throw ValidationError(
                "--renew-order needs an order that comes from data: --within taylor1, fisher or wanda")
        }
        guard !units.kinds.contains(where: \.isSliced) else { return }
        if within != .magnitude || roundTo != 1 {
            throw ValidationError("--within and --round-to go with --units channels, heads or neurons")
        }
    }

    /// The kinds of units, and what they read instead.
    func unitSelection(_ replacement: Replacement) -> UnitSelection {
        var selection = units.selection(replacement: replacement, order: within, rounding: roundTo)
        selection.chunking.isRenewed = renewOrder
        return selection
    }

    /// The edges that may be removed.
    var selection: CandidateSelection { .init(argument: candidates) }
}

/// Kinds of units, separated by commas, with the number of chunks behind a colon.
struct UnitKinds: CustomStringConvertible {
    typealias Kind = ComputationGraph.Unit.Kind

    let kinds: Set<Kind>
    /// By kind, the number of chunks, where it is given.
    var chunks: [Kind: Int] = [:]

    init(kinds: Set<Kind>) { self.kinds = kinds }

    /// Reads the text form.
    ///
    /// - Throws: `ValidationError` that names what is no kind.
    init(reading text: String) throws {
        var kinds: Set<Kind> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let words = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
                String.init)
            let names = Kind.allCases.map(\.plural)
            guard let kind = Kind.allCases.first(where: { $0.plural == words[0] }) else {
                throw ValidationError(
                    "'\(words[0])' is none of \(names.joined(separator: ", "))"
                        + Suggestion.text(for: words[0], among: names))
            }
            if words.count == 2 {
                guard kind.isSliced, let count = Int(words[1]), count > 1 else {
                    throw ValidationError(
                        kind.isSliced
                            ? "'\(part)': the number of chunks must be at least 2, e.g. \(words[0]):8"
                            : "'\(part)': \(words[0]) go whole, without a number of chunks")
                }
                chunks[kind] = count
            }
            kinds.insert(kind)
        }
        self.kinds = kinds
    }

    /// What may be removed.
    func selection(replacement: Replacement, order: Chunking.Order, rounding: Int) -> UnitSelection {
        var selection = UnitSelection(kinds: kinds, replacement: replacement)
        var counts = selection.chunking.chunks.merging(chunks) { $1 }
        if kinds.contains(.channels), chunks[.neurons] == nil, let own = chunks[.channels] {
            counts[.neurons] = own
        }
        selection.chunking = Chunking(chunks: counts, rounding: rounding, order: order)
        return selection
    }

    var description: String {
        Kind.allCases.filter(kinds.contains).map { kind in
            kind.plural + (chunks[kind].map { ":\($0)" } ?? "")
        }.joined(separator: ",")
    }
    var defaultValueDescription: String { description }
}

extension Chunking.Order: ExpressibleByArgument {}

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
