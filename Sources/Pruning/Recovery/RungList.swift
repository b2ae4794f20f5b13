public import ComputationGraph

/// Kinds of recovery as people write them: `least-squares`, `norm,least-squares`, `least-squares+train:50`, `mean`, `none`.
public struct RungList: Sendable, Hashable, LosslessStringConvertible {
    /// What is refitted in closed form.
    public let rungs: Set<Recovery.Rung>
    /// The steps of a short training; `nil` for none.
    public let steps: Int?
    /// Whether removed parts read means.
    public let replacesByMean: Bool

    /// Nothing.
    public static let none = RungList(rungs: [], steps: nil, replacesByMean: false)

    private init(rungs: Set<Recovery.Rung>, steps: Int?, replacesByMean: Bool) {
        (self.rungs, self.steps, self.replacesByMean) = (rungs, steps, replacesByMean)
    }

    /// Reads names with commas or pluses between; `nil` for a name that there is not, or one that stands twice.
    public init?(_ description: String) {
        var (rungs, steps): (Set<Recovery.Rung>, Int?) = ([], nil)
        var names = description.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "+" }.map(
            String.init)
        let replacesByMean = names.contains("mean")
        names.removeAll { $0 == "mean" }
        if names == ["none"] { names = [] }
        for name in names {
            if name.hasPrefix("train:"), steps == nil, let count = Int(name.dropFirst(6)), count > 0 {
                steps = count
                continue
            }
            guard let rung = Recovery.Rung(rawValue: name), rungs.insert(rung).inserted else { return nil }
        }
        self.init(rungs: rungs, steps: steps, replacesByMean: replacesByMean)
    }

    /// Whether nothing is refitted or trained.
    public var adaptsNothing: Bool { rungs.isEmpty && steps == nil }

    /// The names, with pluses between.
    public var description: String {
        let names =
            (replacesByMean ? ["mean"] : []) + Recovery.Rung.allCases.filter(rungs.contains).map(\.rawValue)
            + (steps.map { ["train:\($0)"] } ?? [])
        return names.isEmpty ? "none" : names.joined(separator: "+")
    }
}
