public import ComputationGraph

/// Kinds of recovery as people write them: `least-squares`, `norm,least-squares`, `least-squares+train:50`, `train:50x3`, `mean`,
/// `none`.
public struct RungList: Sendable, Hashable, LosslessStringConvertible {
    /// What is refitted in closed form.
    public let rungs: Set<Recovery.Rung>
    /// The steps of a short training; `nil` for none.
    public let steps: Int?
    /// How many trainings there are of each, the mean of whose losses decides.
    public let repeats: Int
    /// Whether removed parts read means.
    public let replacesByMean: Bool

    /// The names of what adapts.
    public static let names = Recovery.Rung.allCases.map(\.rawValue) + ["mean", "train:50", "none"]

    /// Nothing.
    public static let none = RungList(rungs: [], steps: nil, repeats: 1, replacesByMean: false)

    private init(rungs: Set<Recovery.Rung>, steps: Int?, repeats: Int, replacesByMean: Bool) {
        (self.rungs, self.steps, self.replacesByMean) = (rungs, steps, replacesByMean)
        self.repeats = repeats
    }

    /// Reads names with commas or pluses between; `nil` for a name that there is not, or one that stands twice.
    public init?(_ description: String) {
        var (rungs, steps, repeats): (Set<Recovery.Rung>, Int?, Int) = ([], nil, 1)
        var names = description.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "+" }.map(
            String.init)
        let replacesByMean = names.contains("mean")
        names.removeAll { $0 == "mean" }
        if names == ["none"] { names = [] }
        for name in names {
            if name.hasPrefix("train:"), steps == nil {
                let numbers = name.dropFirst(6).split(separator: "x", omittingEmptySubsequences: false).map {
                    Int($0) ?? 0
                }
                guard numbers.count <= 2, numbers.allSatisfy({ $0 > 0 }) else { return nil }
                (steps, repeats) = (numbers[0], numbers.count == 2 ? numbers[1] : 1)
                continue
            }
            guard let rung = Recovery.Rung(rawValue: name), rungs.insert(rung).inserted else { return nil }
        }
        self.init(rungs: rungs, steps: steps, repeats: repeats, replacesByMean: replacesByMean)
    }

    /// Whether nothing is refitted or trained.
    public var adaptsNothing: Bool { rungs.isEmpty && steps == nil }

    /// The names, with pluses between.
    public var description: String {
        let names =
            (replacesByMean ? ["mean"] : []) + Recovery.Rung.allCases.filter(rungs.contains).map(\.rawValue)
            + (steps.map { ["train:\($0)" + (repeats > 1 ? "x\(repeats)" : "")] } ?? [])
        return names.isEmpty ? "none" : names.joined(separator: "+")
    }
}
