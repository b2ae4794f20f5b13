internal import ComputationGraph
internal import Datasets
internal import Engine
internal import Report
internal import Search

extension Workload {
    /// What was measured, on what scale, and how the outputs that are not measured change without the edges of `mask`.
    ///
    /// What cannot be told is left out: a report must not cost a result.
    func lossReport(of mask: Mask) -> LossReport {
        LossReport(
            outputs: loss.terms.map { term in
                LossReport.Output(
                    name: term.output, loss: term.loss.rawValue, form: term.form.rawValue,
                    weight: term.weight,
                    unit: term.unit, sampleAxis: term.sampleAxis,
                    part: term.part.map {
                        LossReport.Output.Part(axis: $0.axis, lower: $0.lower, upper: $0.upper)
                    })
            }, positionWeights: loss.positionWeights,
            constantPredictorLoss: (try? constantPredictorLoss()) ?? nil,
            unmeasured: (try? unmeasuredChanges(mask)) ?? [])
    }

    /// The outputs that the loss does not see, with their largest change on the first samples, where they change.
    private func unmeasuredChanges(_ mask: Mask) throws -> [LossReport.Unmeasured] {
        let measured = Set(loss.terms.map(\.output))
        let names = graph.outputs.map(\.name).filter { !measured.contains($0) }
        guard !names.isEmpty, !mask.isEmpty else { return [] }
        let block = division.sharding.naturalBlocks(of: 0)[0]
        let few = graph.fixedSamples(dataset) == nil ? block.prefix(8) : block
        var inputs: [String: NumpyArray] = [:]
        for name in dataset.inputNames { inputs[name] = try dataset.gather(few, from: name) }
        let before = try network.run(inputs)
        let after = try network.run(inputs, mask: mask)
        return try zip(before, after).compactMap { old, new in
            guard !measured.contains(old.0) else { return nil }
            let change = try Workload.change(from: old.1, to: new.1)
            return change > 0 ? LossReport.Unmeasured(name: old.0, change: change) : nil
        }
    }

    private static func change(from old: NumpyArray, to new: NumpyArray) throws -> Double {
        guard old.shape == new.shape else { return 1 }
        guard old.elementType.isFloatingPoint else {
            let differing = try zip(old.int64s(), new.int64s()).count { $0 != $1 }
            return Double(differing) / Double(max(old.count, 1))
        }
        let (left, right) = try (old.floats(), new.floats())
        let largest = left.reduce(Float(0)) { $1.isFinite ? max($0, $1.magnitude) : $0 }
        let worst = zip(left, right).reduce(Float(0)) { worst, pair in
            pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN)
                ? worst : max(worst, (pair.0 - pair.1).magnitude)
        }
        return Double(worst) / Double(largest > 0 ? largest : 1)
    }
}

extension Workload {
    /// Looks up the names that the file gives to a removal.
    var names: @Sendable (Unit) -> NamedEdge? {
        { [graph, costs] unit in
            let block = unit.plainEdge.flatMap { edge in
                graph.blocks(among: [edge], costs: costs).first { $0.edge == edge }?.name
            }
            return NamedEdge(unit, in: graph, block: block)
        }
    }
}
