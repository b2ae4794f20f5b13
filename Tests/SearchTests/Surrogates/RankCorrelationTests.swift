import ComputationGraph
import Search
import Testing

/// Expected values by SciPy: `scipy.stats.spearmanr` and `scipy.stats.kendalltau` (τ-b).
@Suite struct RankCorrelationTests {
    let left = [1.0, 2, 2, 4, 5, 7.5, 7.5, 9]
    let right = [2.0, 1, 3, 3, 8, 5, 6, 6]

    @Test func spearmanGivesTiesTheirMeanRank() throws {
        let found = try #require(RankCorrelation.spearman(left, right))
        #expect((found - 0.7804878048780488).magnitude < 1e-12)
        #expect(RankCorrelation.ranks(left) == [1, 2.5, 2.5, 4, 5, 6.5, 6.5, 8])
    }

    @Test func kendallLeavesTiedPairsOut() throws {
        let found = try #require(RankCorrelation.kendall(left, right))
        #expect((found - 0.6153846153846154).magnitude < 1e-12)
    }

    @Test func reversedOrdersHaveMinusOne() {
        #expect(RankCorrelation.spearman([1, 2, 3], [3, 2, 1]) == -1)
        #expect(RankCorrelation.kendall([1, 2, 3], [3, 2, 1]) == -1)
    }

    @Test func constantOrShortListsHaveNoCorrelation() {
        #expect(RankCorrelation.spearman([1, 1, 1], [1, 2, 3]) == nil)
        #expect(RankCorrelation.kendall([1, 2, 3], [4, 4, 4]) == nil)
        #expect(RankCorrelation.spearman([], []) == nil)
        #expect(RankCorrelation.kendall([1], [1]) == nil)
    }

    @Test func regretIsWhatTheFirstChoiceCosts() throws {
        let edges = (0..<4).map { Edge(node: $0, slot: 0) }
        // The scores prefer edge 2, whose exact objective 0.5 is the third best; the best is 0.1.
        let regret = try #require(
            Regret(edges: edges, scores: [0.3, 0.9, 0.2, 0.4], objectives: [0.1, 0.2, 0.5, .infinity]))
        #expect(regret.chosen == edges[2])
        #expect(regret.best == edges[0])
        #expect(regret.regret == 0.4)
        #expect(regret.exactRank == 3)
        #expect(Regret(edges: [], scores: [], objectives: []) == nil)
    }
}
