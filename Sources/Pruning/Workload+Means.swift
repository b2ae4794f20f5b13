internal import Cluster
public import ComputationGraph
internal import Coordination
internal import Datasets
internal import Engine
internal import Search
internal import Work

/// What removed slots read that masks replace by means over the calibration data.
extension Workload {
    /// The most elements of values whose sums come back in one result.
    private static let largestGroup = 1 << 20
    /// The most elements of a value whose sum comes back in one result: a result has some bytes besides.
    private static let largestSum = WireLimits().resultBytes / MemoryLayout<Double>.size - 64

    /// Takes means into use: masks may replace values by them from now on, and cost what files with them cost.
    mutating func use(_ means: ValueMeans) {
        self.means = means
        costs = CostModel(costs, means: means)
    }

    /// The means that `masks` need of the unpruned model, measured in this process.
    ///
    /// - Throws: `EngineError` that names the node that failed; `InputError` that names a value that is too large.
    public mutating func measureMeans(for masks: [Mask]) async throws {
        _ = try await measureMeans(for: masks.flatMap(\.units), on: runner())
    }

    /// Measures the means that `units` read, takes them into use, and gives them to whoever computes.
    ///
    /// - Returns: the table that items name; `nil` where no means are read.
    /// - Throws: what the runner throws; `InputError` that names a value that is too large.
    mutating func measureMeans(for units: [Unit], on runner: any WorkRunner) async throws -> ContentID? {
        guard let source = try statistics(for: units) else { return nil }
        use(means(from: try await runner.run(source).totals()))
        return try await runner.provide(MeansTable.encode(means))
    }

    /// The work whose outcome is the means that `units` need; `nil` where they need none.
    ///
    /// - Throws: `InputError` that names a value whose sum is larger than any result may be.
    private func statistics(for units: [Unit]) throws(InputError) -> StatisticsSource? {
        let values = values(readBy: units)
        guard !values.isEmpty else { return nil }
        var groups: [[Int]] = []
        var (size, total) = (0, 0)
        for value in values {
            let own = try sumElements(of: value)
            if groups.isEmpty || size + own > Workload.largestGroup {
                groups.append([])
                size = 0
            }
            groups[groups.count - 1].append(value)
            size += own
            total += own
        }
        return StatisticsSource(
            groups: groups, blocks: BlockList(naturalOrder: division), elements: total)
    }

    /// How many elements the sum of a value has over samples: those of one sample.
    private func sumElements(of value: Int) throws(InputError) -> Int {
        guard let elements = valueShapes.activationSizes(value) else { return Workload.largestGroup }
        let own = elements / min(graph.fixedSamples(dataset) ?? 1, dataset.samples)
        guard own <= Workload.largestSum else {
            throw InputError(
                "the value '\(graph.values[value].name)' has \(own) elements a sample, and means are measured of at "
                    + "most \(Workload.largestSum): replace what reads it by zeros (--replace zero)")
        }
        return own
    }

    /// The bytes of the largest result that statistics have, whichever values are wanted; `nil` where a value's size is not
    /// known.
    var largestStatistics: Int? {
        var largest = Workload.largestGroup * (graph.fixedSamples(dataset) ?? 1)
        for (index, value) in graph.values.enumerated() where value.dependsOnData {
            guard let elements = valueShapes.activationSizes(index) else { return nil }
            largest = max(largest, elements)
        }
        // Beside its elements each sum has its shape and count.
        return MemoryLayout<Double>.size * min(largest, Workload.largestSum) + 64 * graph.values.count
    }

    /// The values whose means units read, ascending.
    private func values(readBy units: [Unit]) -> [Int] {
        let replaced = units.filter { $0.replacement == .mean }
        // A bypassed layer lets through what its own slot reads, which may be a mean.
        let roots = units.filter { $0.kind == .layer }.map(\.edge)
        let edges = replaced.flatMap { graph.edges(of: $0) } + (replaced.isEmpty ? [] : roots)
        return Set(edges.compactMap { graph.value(on: $0) }).sorted()
    }

    /// The means from sums over all samples.
    ///
    /// Along an axis whose size may vary, e.g. positions of a text, the mean is taken too: a file has to run at every size.
    func means(from totals: [Int: ValueSum]) -> ValueMeans {
        ValueMeans(
            Dictionary(
                uniqueKeysWithValues: totals.map { value, sum in
                    var means = sum.sums.map { $0 / Double(max(1, sum.count)) }
                    var shape = sum.shape
                    let varies = valueShapes.variableAxes(of: value)
                    for axis in shape.indices where shape[axis] > 1 && varies.contains(axis) {
                        means = Workload.averaged(means, shape, axis: axis)
                        shape[axis] = 1
                    }
                    return (value, ValueMeans.Mean(shape: shape, elements: means.map { Float($0) }))
                }))
    }

    private static func averaged(_ elements: [Double], _ shape: [Int], axis: Int) -> [Double] {
        let inner = shape[(axis + 1)...].reduce(1, *)
        let outer = shape[..<axis].reduce(1, *)
        var result = [Double](repeating: 0, count: outer * inner)
        for block in 0..<outer {
            for position in 0..<shape[axis] {
                for offset in 0..<inner {
                    result[block * inner + offset] +=
                        elements[(block * shape[axis] + position) * inner + offset]
                }
            }
        }
        return result.map { $0 / Double(shape[axis]) }
    }

    /// The means as the engine takes them.
    var meanArrays: [Int: NumpyArray] {
        get throws {
            try means.means.mapValues { try NumpyArray(shape: $0.shape, values: $0.elements) }
        }
    }

    /// Checks that every unit of `mask` may be removed, and that together they leave every output its input.
    ///
    /// - Throws: `GraphError` that names the unit.
    public func checkRemovable(_ mask: Mask) throws(GraphError) {
        for unit in mask.units { try graph.requireCandidate(unit, costs: costs) }
        try graph.requireCompatible(mask)
        guard Liveness(of: graph, under: mask).isConnected else { throw .disconnected(mask) }
    }
}
