import Datasets
import Testing

@Suite("Labels")
struct LabelTests {
    private func labels(
        _ shape: [Int], _ values: [Int64], _ reading: Labels.Reading = .own, weights: [Float]? = nil
    ) throws -> Labels {
        try Labels(
            NumpyArray(shape: shape, values: values), reading: reading,
            positionWeights: weights.map { try NumpyArray(shape: shape, values: $0) })
    }

    @Test("of classes count once for every sample")
    func classes() throws {
        let labels = try labels([3], [2, 0, 1])
        #expect(labels.counts.perSample == [1, 1, 1])
        let block = labels.block([2, 0])
        #expect(block.classes == [1, 2])
        #expect(block.counted == [0, 1])
        #expect(block.correct([1, 1]) == [1, 0])
        #expect(block.stray(amongClasses: 2) == 2)
        #expect(block.stray(amongClasses: 3) == nil)
    }

    @Test("of positions count where they are not -100 and their weight is not 0")
    func positions() throws {
        let values: [Int64] = [1, -100, 3, 4, 5, 6]
        #expect(try labels([2, 3], values).counts.perSample == [2, 3])
        let weighted = try labels([2, 3], values, weights: [1, 1, 1, 1, 0, 0])
        #expect(weighted.counts.perSample == [2, 1])
        #expect(Array(weighted.counted(1)) == [4])
        // A place that does not count is right or wrong for nobody, whatever is predicted there.
        #expect(weighted.block([0, 1]).correct([1, 0, 3, 4, 5, 6]) == [2, 1])
    }

    @Test("that follow are held against the position before, and the last position against none")
    func following() throws {
        let labels = try labels([2, 3], [7, 8, 9, 4, -100, 6], .following)
        #expect(labels.counts.perSample == [2, 1])
        let block = labels.block([0, 1])
        #expect(block.classes == [8, 9, 0, 0, 6, 0])
        #expect(block.counted == [0, 1, 4])
        #expect(block.correct([8, 8, 0, 0, 6, 0]) == [1, 1])
    }

    @Test("make accuracy a share of those that count, and none where none does")
    func accuracy() throws {
        let counts = LabelCounts(perSample: [3, 0, 1])
        #expect(counts.total == 4)
        #expect(counts.accuracy(correct: 3) == 0.75)
        #expect(LabelCounts(perSample: [0, 0]).accuracy(correct: 0) == nil)
        #expect(counts.misses([1, 1], samples: [0, 2]) == 2)
    }

    @Test("are tokens where an input has the same, but for those that do not count")
    func tokens() throws {
        let ids = ("ids", try NumpyArray(shape: [2, 2], values: [1, 2, 3, 4] as [Int64]))
        let input = InputSpecification(name: "ids", elementType: .int64, shape: [nil, 2])
        func areTokens(_ values: [Int64]) throws -> Bool {
            let arrays = [ids, ("labels", try NumpyArray(shape: [2, 2], values: values))]
            return try Dataset(
                NumpyArchive(bytes: NumpyArchive.encode(arrays), path: "data.npz"), inputs: [input]
            ).labelsAreTokens
        }
        #expect(try areTokens([1, 2, 3, 4]))
        #expect(try areTokens([1, 2, -100, 4]))
        #expect(try !areTokens([2, -100, 4, -100]))
    }
}
