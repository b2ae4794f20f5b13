/// How much work is left of a level, for whoever waits for it.
extension LevelRace {
    /// The block evaluations that the level will likely still take.
    ///
    /// Expansions that will likely be among the best take all their blocks. Of the others each takes as many as it needs,
    /// in the order of visits, until its bound lies above what the best will likely not exceed: it is dropped then. Both
    /// follow from what is known so far (`LossExtrapolation`), so the number is an estimate. It is never more than what is left of
    /// brute force for the expansions that are still running, and 0 once the level is over.
    public var likelyEvaluationsLeft: Int {
        guard usesBounds else { return running.reduce(0) { $0 + unknownCount($1) } }
        var race = self
        let limit = race.likelyLimit()
        let courses = zip(visits, forecasts).map(Course.init)
        return running.reduce(0) { sum, index in
            let unknown = unknownCount(index)
            guard standings[index].value > limit else { return sum + unknown }
            let entrant = entrants[index]
            // What is known is mostly the beginning of the order of visits; what comes after it decides.
            let needed = courses[standings[index].parent].blocksNeeded(
                after: entrant.knownCount, of: entrant.blockCount, from: entrant.partialSum,
                growth: entrant.growth
            ) { self.bound($0, at: entrant.expansion.price) > limit || self.isUnacceptable($0) }
            return sum + min(unknown, needed)
        }
    }

    private func unknownCount(_ index: Int) -> Int { entrants[index].blockCount - entrants[index].knownCount }

    /// What the blocks of a parent sum up to in the order of visits.
    private struct Course {
        /// The parent's losses and the spread of the first blocks, by how many they are.
        private var parent = [0.0]
        private var spread = [0.0]

        init(_ visits: VisitOrder, _ forecast: LossExtrapolation) {
            for block in visits.order {
                parent.append((parent.last ?? 0) + forecast.parent[block])
                spread.append((spread.last ?? 0) + forecast.spread[block])
            }
        }

        /// How many more blocks it takes until the sum `isEnough`; all of them if none does.
        func blocksNeeded(
            after known: Int, of count: Int, from sum: Double, growth: Double,
            until isEnough: (Double) -> Bool
        ) -> Int {
            guard growth.isFinite else { return count > known ? 1 : 0 }
            func sumAfter(_ number: Int) -> Double {
                sum + max(0, parent[number] - parent[known] + growth * (spread[number] - spread[known]))
            }
            // The sum grows with every block, or will not be enough at all.
            var (low, high) = (known, count)
            while low < high {
                let middle = (low + high) / 2
                if isEnough(sumAfter(middle)) { high = middle } else { low = middle + 1 }
            }
            return low - known
        }
    }
}
