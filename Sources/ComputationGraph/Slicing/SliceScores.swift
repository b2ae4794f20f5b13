internal import BitCollections

/// What is measured on the data to order channels, heads and neurons inside their layers. The smallest goes first.
///
/// All are sums over the samples, so that parts of the data can be measured apart.
public enum SliceCriterion: String, Sendable, Hashable, Codable, CaseIterable {
    /// Σ_n |Σ g·x|: the first Taylor term of a sample's loss, its absolute value summed over samples (Molchanov et al.,
    /// "Pruning convolutional neural networks for resource efficient inference", 2017, equation 8).
    case taylor1
    /// ½ Σ_n (Σ g·x)²: the diagonal of the empirical Fisher information (Theis et al., "Faster gaze prediction with dense
    /// networks and Fisher pruning", 2018, equation 8).
    case fisher
    /// Σ ‖W‖²·‖x‖²: what it adds to the layers that read it, in squares (Sun et al., "A simple and effective pruning approach
    /// for large language models", 2024, whose |W|·‖x‖ is the root of it for a single weight).
    case wanda
}

/// What a criterion says of every channel, head or neuron of a graph.
public struct SliceScores: Sendable, Hashable {
    private let scores: [[Double]]

    /// - Parameter sums: one number per atom, group by group.
    /// - Returns: `nil` for another number of them than the groups have atoms.
    public init?(_ sums: [Double], of groups: SliceGroups) {
        var scores: [[Double]] = []
        var start = 0
        for group in groups.groups {
            guard start + group.atoms.count <= sums.count else { return nil }
            // What is no number matters most.
            scores.append(sums[start..<start + group.atoms.count].map { $0.isFinite ? $0 : .infinity })
            start += group.atoms.count
        }
        guard start == sums.count else { return nil }
        self.scores = scores
    }

    /// By atom, the scores of a group.
    subscript(group: Int) -> [Double] { scores[group] }
}

extension SliceGroups {
    /// How many channels, heads and neurons all groups have.
    public var atomCount: Int { groups.reduce(0) { $0 + $1.atoms.count } }

    /// Where atoms are summed over: by group and atom, the slots that read it, with its positions along axes.
    ///
    /// - Parameter graph: the graph that these are the groups of.
    package func reads(in graph: Graph) -> [[[Edge: [Slice.Positions]]]] {
        groups.map { group in
            group.atoms.indices.map { atom in
                (try? graph.coupling?.closure(of: group.slice(ofAtoms: [atom])))?.reads ?? [:]
            }
        }
    }
}

extension SliceGroup {
    /// The atoms that a mask removes.
    func atoms(goneUnder mask: Mask) -> Set<Int> {
        var positions: BitSet = []
        for unit in mask.slices where unit.edge == edge {
            guard let own = unit.root.positions, own.axis == axis else { continue }
            positions.formUnion(BitSet(own.ranges.joined()))
        }
        return positions.isEmpty
            ? [] : Set(atoms.indices.filter { atoms[$0].first.map(positions.contains) ?? false })
    }
}
