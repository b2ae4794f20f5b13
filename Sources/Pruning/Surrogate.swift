internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Search

/// The surrogate model of a search, from a small part of the data: it has to cost far less than it saves.
extension Workload {
    /// What the surrogate is wanted for.
    enum SurrogatePurpose {
        /// To order the work: gradients alone, from one block.
        case ordering
        /// To choose what is measured at all: gradients from an eighth of the blocks, at most eight, and second
        /// derivatives, which take a pass per edge, from a few samples.
        case screening
    }

    /// Blocks that gradients come from when they choose what is measured.
    private static let mostGradientBlocks = 8
    /// Samples that second derivatives come from.
    private static let curvatureSamples = 16

    /// Gate gradients of `edges` and, for screening, their gate Hessian, to the bit the same in every run: this process
    /// computes them alone, on one thread, from samples that follow from the settings.
    ///
    /// Where second derivatives are missing, the cross terms are 0.
    ///
    /// - Parameters:
    ///   - state: what is removed already: the model is of the pruned network.
    ///   - warn: told once of everything that is missing.
    /// - Returns: `nil` where there are no gradients at all: the search goes on without.
    func surrogateModel(
        of edges: [Edge], at state: Mask = .empty, for purpose: SurrogatePurpose,
        interruption: Interruption? = nil,
        warn: (String) -> Void
    ) throws -> SurrogateModel? {
        let all = BlockList(naturalOrder: division).samples
        let count = purpose == .ordering ? 1 : min(Workload.mostGradientBlocks, max(1, all.count / 8))
        // Spread over the data, which may be sorted in some way.
        let blocks = (0..<count).map { all[$0 * all.count / count] }
        let first: GateMeasurement
        do {
            first = try GateMeasurement(
                self, edges: edges, at: state, blocks: blocks, interruption: interruption)
        } catch let error as Interrupted { throw error } catch {
            warn("no gradients lead the search, for an operator has none: \(error)")
            return nil
        }
        var missing = first.gaps.map { "\($0): its measured change stands in" }
        var hessian = edges.map { _ in edges.map { _ in 0.0 } }
        if purpose == .screening {
            let isFixed = graph.fixedSamples(dataset) != nil
            let few = isFixed ? blocks[0] : Array(blocks[0].prefix(Workload.curvatureSamples))
            do {
                let second = try GateMeasurement(
                    self, edges: edges, at: state, curvature: .hessian, blocks: [few],
                    interruption: interruption)
                hessian = second.matrix.map { $0.map { $0.isFinite ? $0 : 0 } }
            } catch let error as Interrupted { throw error } catch {
                missing.append("no second derivatives, for an operator has none: \(error)")
            }
        }
        if !missing.isEmpty { warn(missing.joined(separator: "; ")) }
        return SurrogateModel(units: edges.map { Unit($0) }, gradients: first.gradients, hessian: hessian)
    }
}
