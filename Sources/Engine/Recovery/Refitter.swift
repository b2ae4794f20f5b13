internal import ComputationGraph
internal import Torch

/// Refits the layers behind the cuts of masks: a pure function of the weights that it starts from, the mask, the fit data and the
/// recovery.
///
/// All blocks of the fit data go through the pruned model together, step by step. A linear layer whose input depends on a cut
/// is refitted when its turn comes, from what the pruned model gives so far, towards what the unpruned model gave; where its
/// output enters a sum, towards what makes the sum whole. ReplaceMe (Shopkhoev and others, 2025) merges one such map into a
/// transformer, and channel reconstruction (He and others, 2017) refits the layer behind pruned channels.
final class Refitter {
    private let network: Network
    /// One model per block; blocks of one size share it.
    private let models: [Specialisation]
    private let unpruned: UnprunedRows
    private let unprunedSchedule: FitSchedule
    private let recovery: Recovery
    private let elementTypes: [Int: StorageType]
    /// The weights that fits start from, and the mask to which they are adapted already; the model's own unless given.
    private let base: Parameters
    private let baseMask: Mask
    /// The unpruned model's lane, where it was left standing on the way, from its start on.
    private var unprunedLanes: [FitLane] = []
    /// The same of the last state whose expansions were fitted, with its refit; of the weights' own mask where fits start from
    /// others than the model's.
    private var trunk: (mask: Mask, lanes: [FitLane], refit: Refit)?
    /// The bytes that may be kept between fits.
    private let budget: Int
    /// The unpruned model's lane, which goes ahead of the fit in work where its rows are too many to be kept.
    private var pilot: FitLane?

    /// - Parameters:
    ///   - start: the weights that fits start from, where they are not the model's own: what their mask changes is fitted already.
    ///   - budget: the bytes that may be kept between fits.
    /// - Throws: `EngineError` where the model does not run on the fit data.
    init(
        _ network: Network, _ data: FitData, _ recovery: Recovery, means: Means,
        from start: StartingWeights.Entry? = nil, budget: Int
    ) throws {
        self.network = network
        self.recovery = recovery
        self.budget = budget
        (base, baseMask) = (start?.refit.parameters ?? network.parameters, start?.mask ?? .empty)
        let inputs = try data.blocks.map { try network.inputs($0, of: data.dataset) }
        models = try inputs.map { try network.specialisation(for: $0) }
        unpruned = try UnprunedRows(models, data, recovery)
        elementTypes = Dictionary(
            uniqueKeysWithValues: network.graph.values.indices.compactMap { value in
                StorageType(network.graph.values[value]).map { (value, $0) }
            })
        unprunedSchedule = FitSchedule(.empty, models)
        let lane = FitLane(
            blocks: zip(models, inputs).map { Activations($0, inputs: $1, means: means) })
        unprunedLanes = try standing(lane, unprunedSchedule, collecting: keepsRows).lanes
        guard let start else { return }
        var own = lane
        for (value, tensor) in start.refit.changed { own.replace(value, by: tensor) }
        own.addedBiases = start.refit.addedBiases
        let lanes = try standing(
            own, FitSchedule(start.mask, models), known: start.refit, collecting: false
        ).lanes
        trunk = (start.mask, lanes, start.refit)
    }

    /// The weights of a mask.
    ///
    /// - Parameters:
    ///   - state: the mask that it is an expansion of: what both have in common is fitted once.
    ///   - known: what a fit has made of the state; its layers are not fitted again.
    /// - Throws: `EngineError` that names the node that failed.
    func refit(_ mask: Mask, from state: Mask? = nil, known: Refit? = nil) throws -> Refit {
        if let state, !state.isEmpty, baseMask.isEmpty, trunk?.mask != state {
            let schedule = FitSchedule(state, models)
            let (lanes, end) = try standing(start(of: schedule), schedule, known: known, collecting: false)
            trunk = (state, lanes, try refit(state, of: end))
        }
        if let trunk, trunk.mask == mask { return trunk.refit }
        let schedule = FitSchedule(mask, from: baseMask, models)
        var lane = start(of: schedule)
        try advance(&lane, schedule)
        return try refit(mask, of: lane)
    }

    /// What a lane that has come to its end made of the weights.
    private func refit(_ mask: Mask, of lane: FitLane) throws -> Refit {
        Refit(
            parameters: try network.parameters.replacing(
                lane.changed, addingBiases: lane.addedBiases, version: "\(mask) \(recovery)"),
            changed: lane.changed, addedBiases: lane.addedBiases, layers: lane.layers)
    }

    // MARK: Lanes

    /// Runs a lane to its end and gives copies of it on the way, where one value is all that goes on from there. Where they hold
    /// too much, every other one goes.
    private func standing(
        _ start: FitLane, _ schedule: FitSchedule, known: Refit? = nil, collecting: Bool
    ) throws -> (lanes: [FitLane], end: FitLane) {
        var lane = start
        var kept = [(lane: start, bytes: 0)]
        var stride = 1
        var passed = 0
        try advance(&lane, schedule, known: known, collecting: collecting) { lane in
            guard lane.liveValues <= 1 else { return }
            passed += 1
            guard passed % stride == 0 else { return }
            kept.append((lane, lane.byteCount))
            while kept.count > 2, kept.reduce(0, { $0 + $1.bytes }) > self.budget / 2 {
                kept = kept.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                stride *= 2
            }
        }
        return (kept.map(\.lane), lane)
    }

    /// The lane that has gone furthest of those that a mask's goes along with. A start of the same weights is always among them.
    private func start(of schedule: FitSchedule) -> FitLane {
        var lanes: [(mask: Mask, lanes: [FitLane])] = baseMask.isEmpty ? [(.empty, unprunedLanes)] : []
        if let trunk { lanes.append((trunk.mask, trunk.lanes)) }
        var best = lanes[0].lanes[0]
        for (mask, lanes) in lanes {
            let first = firstDifference(schedule.cuts, Cuts(mask, in: network.graph))
            let lane = lanes.last { lane in
                lane.next <= first
                    && schedule.reads(from: lane.next, in: models[0]).allSatisfy { lane.has($0) }
            }
            if let lane, lane.next > best.next { best = lane }
        }
        return best
    }

    /// The first step that gives something else under one mask than under another.
    func firstDifference(_ left: Mask, _ right: Mask) -> Int {
        firstDifference(Cuts(left, in: network.graph), Cuts(right, in: network.graph))
    }

    /// The first step whose layer is fitted, or computed, in another way under other cuts.
    private func firstDifference(_ left: Cuts, _ right: Cuts) -> Int {
        let nodes = left.vertices(otherThan: right)
        return models[0].steps.firstIndex { step in
            nodes.contains(step.vertex)
                || unpruned.targets[step.vertex]?.path.contains { nodes.contains($0.vertex) } ?? false
        } ?? models[0].steps.count
    }

    /// Whether the unpruned model's rows are kept between fits; otherwise they are computed beside every fit.
    private var keepsRows: Bool { unpruned.byteCount <= budget / 2 }

    /// Has the unpruned model compute what a layer is fitted to.
    private func leadUnpruned(to vertex: Int, from position: Int) throws {
        guard !keepsRows, let last = unpruned.lastStep[vertex] else { return }
        var lane = pilot ?? unprunedLanes.last { $0.next <= position } ?? unprunedLanes[0]
        if lane.next <= last { try advance(&lane, unprunedSchedule, through: last, collecting: true) }
        pilot = lane
    }

    /// Runs a lane on.
    ///
    /// - Parameters:
    ///   - last: the last step that is computed.
    ///   - known: what a fit has made of the mask: nothing is fitted again.
    ///   - collecting: whether the lane is the unpruned model's, and its rows are wanted.
    ///   - pausing: called after every step.
    private func advance(
        _ lane: inout FitLane, _ schedule: FitSchedule, through last: Int = .max, known: Refit? = nil,
        collecting: Bool = false, pausing: (FitLane) throws -> Void = { _ in }
    ) throws {
        if !schedule.mask.isEmpty {
            pilot = nil
            if !keepsRows { unpruned.removeAll() }
        }
        let start = lane.next
        for position in schedule.steps where position >= start && position <= last {
            let vertex = models[0].steps[position].vertex
            if let known {
                replay(vertex, of: known, in: &lane)
            } else if !schedule.mask.isEmpty {
                try refit(vertex, at: position, in: &lane, schedule)
            }
            let convolution = try FitConvolution(vertex, in: lane, schedule.cuts, network.parameters)
            for index in lane.blocks.indices {
                try schedule.compute(position, for: &lane.blocks[index], by: convolution)
                if let bias = lane.addedBiases[vertex],
                    let output = network.graph.vertices[vertex].outputs[0],
                    let tensor = lane.blocks[index][output]
                {
                    lane.blocks[index].replace(output, by: try tensor + bias.broadcast)
                }
                if collecting { try unpruned.collect(from: lane.blocks[index], block: index, after: vertex) }
            }
            lane.next = position + 1
            try pausing(lane)
        }
    }

    // MARK: Layers

    /// Gives a lane what a fit of its mask has made of a layer.
    private func replay(_ vertex: Int, of known: Refit, in lane: inout FitLane) {
        guard let fitted = known.layers.first(where: { $0.vertex == vertex }) else { return }
        let map = unpruned.layers[vertex]?.map
        let normalisation = unpruned.normalisations[vertex]
        for value in [map?.weight, map?.bias, normalisation?.scale, normalisation?.shift] {
            if let value, let tensor = known.changed[value] { lane.replace(value, by: tensor) }
        }
        lane.addedBiases[vertex] = known.addedBiases[vertex]
        if map != nil { lane.refitted.insert(vertex) }
        lane.layers.append(fitted)
    }

    private func refit(
        _ vertex: Int, at position: Int, in lane: inout FitLane, _ schedule: FitSchedule
    ) throws {
        defer { if !keepsRows { unpruned.remove(vertex) } }
        if let layer = unpruned.layers[vertex] {
            guard recovery.refitsLayers,
                schedule.changes(layer.map.dataSlot, of: vertex, network.graph)
            else { return }
            try leadUnpruned(to: vertex, from: position)
            try refit(layer, in: &lane, schedule)
        } else if let layer = unpruned.normalisations[vertex], schedule.changes[layer.input],
            schedule.cuts[vertex].isEmpty,
            recovery.rungs.contains(.norm) || isAfterUnfedSum(layer, lane)
        {
            try leadUnpruned(to: vertex, from: position)
            try refit(layer, in: &lane, schedule)
        }
    }

    /// Whether a normalisation reads a sum that no refitted layer makes whole.
    private func isAfterUnfedSum(_ layer: NormalisationLayer, _ lane: FitLane) -> Bool {
        guard recovery.rungs.contains(.leastSquares),
            let sum = network.graph.sum(computing: layer.input)
        else { return false }
        return !lane.refitted.contains { vertex in
            unpruned.targets[vertex]?.path.contains { $0.vertex == sum.index } ?? false
        }
    }

    private func refit(_ layer: LinearRows, in lane: inout FitLane, _ schedule: FitSchedule) throws {
        let map = layer.map
        let vertex = network.graph.vertices[map.vertex]
        guard let input = vertex.inputs[map.dataSlot], let weight = base[map.weight],
            let target = unpruned.targets[map.vertex]
        else { return }
        let bias = map.bias.map { base[$0] } ?? base.addedBiases[map.vertex]?.flat
        if let bias, bias.count != layer.channels { return }
        let present = try layer.matrix(weight, bias: bias)
        let isWhole = recovery.rungs.contains(.leastSquares)
        let held = layer.features - 1
        let offset = try Tensor.filled(0, shape: [layer.groups, 1, layer.outputs], type: .float64)
        var regression = RidgeRegression(present: isWhole ? present : offset)
        for (index, block) in lane.blocks.enumerated() {
            let selection = unpruned.selections[map.vertex, default: []][index]
            guard var tensor = block[input], let shape = block.model.shapes[map.output],
                selection.count > 0
            else { continue }
            if case .part(let parts)? = schedule.cuts.source(map.vertex, map.dataSlot) {
                tensor = try tensor.zeroed(parts)
            }
            let features = try layer.features(tensor, output: shape, selection)
            let wanted = try layer.grouped(rows(of: target, layer, block, index, schedule.cuts))
            if isWhole {
                try regression.add(features, wanted, selection)
            } else {
                // The bias's feature alone, and what is missing.
                try regression.add(
                    features.narrowed(2, from: held, length: 1), wanted - features.matrixProduct(present),
                    selection)
            }
        }
        guard let solution = try regression.solution(ridge: recovery.ridge) else { return }
        let change =
            isWhole
            ? solution.change
            : try Tensor.concatenated(
                [
                    Tensor.filled(0, shape: [layer.groups, held, layer.outputs], type: .float64),
                    solution.change,
                ],
                along: 1)
        let parts = try layer.parts(of: present + change)
        guard try parts.weight.isFinite(), try parts.bias.isFinite() else { return }
        let type = elementTypes[map.weight]
        if isWhole {
            lane.replace(map.weight, by: try network.stored(parts.weight, like: weight, as: type))
        }
        let stored = try network.stored(parts.bias, like: bias, as: type)
        if let value = map.bias {
            lane.replace(value, by: stored)
        } else {
            lane.addedBiases[map.vertex] = try AddedBias(stored, channelAxisFromEnd: map.channelAxisFromEnd)
        }
        lane.refitted.insert(map.vertex)
        lane.layers.append(
            RefittedLayer(
                vertex: map.vertex, rows: regression.rows, features: isWhole ? layer.features : 1,
                strength: solution.strength, isSingular: solution.isSingular))
    }

    /// What a layer's rows on a block should be, float64 [n, M].
    private func rows(
        of target: FitTarget, _ layer: LinearRows, _ block: Activations, _ index: Int, _ cuts: Cuts
    ) throws -> Tensor {
        let graph = network.graph
        let map = layer.map
        let selection = unpruned.selections[map.vertex, default: []][index]
        func unprunedRows(_ value: Int) throws -> Tensor {
            try unpruned.rows(of: value, for: map.vertex, block: index)
        }
        var rows = try unprunedRows(target.value)
        var fixed: Tensor?
        for step in target.path.reversed() {
            let vertex = graph.vertices[step.vertex]
            switch step {
            case .affine(_, let slot):
                rows = try FitTarget.undo(
                    vertex, slot: slot, rows, constants: block.model.constants, fixed: &fixed)
            case .addend(_, let slot):
                for other in vertex.inputs.indices where other != slot {
                    guard let value = vertex.inputs[other] else { continue }
                    switch cuts.source(vertex.index, other) {
                    case .zero: continue
                    case .mean, .value, .part:
                        let form = Specialisation.Form(
                            vertex: vertex.index, kernel: { $0 }, inputs: vertex.inputs)
                        if let tensor = try block.replacement(form, other, cuts) {
                            rows = try rows - selected(tensor, of: layer, block, selection)
                        }
                    case nil:
                        if target.later.contains(value) {
                            rows = try rows - unprunedRows(value)
                        } else if let tensor = block[value] {
                            rows = try rows - selected(tensor, of: layer, block, selection)
                        }
                    }
                }
            }
        }
        guard let fixed else { return rows }
        return try fixed.choosing(unprunedRows(map.output), else: rows)
    }

    private func selected(
        _ tensor: Tensor, of layer: LinearRows, _ block: Activations, _ selection: RowSelection
    ) throws -> Tensor {
        let shape = block.model.shapes[layer.map.output] ?? tensor.shape
        return try layer.rows(of: tensor.shape == shape ? tensor : tensor.expanded(shape), selection)
            .converted(to: .float64)
    }

    private func refit(_ layer: NormalisationLayer, in lane: inout FitLane, _ schedule: FitSchedule) throws {
        guard let scale = base[layer.scale], let shift = base[layer.shift],
            scale.count == shift.count
        else { return }
        var regression = ChannelRegression()
        guard
            let position = models[0].steps.firstIndex(where: { $0.vertex == layer.vertex })
        else { return }
        for index in lane.blocks.indices {
            var trial = lane.blocks[index]
            try schedule.compute(position, for: &trial)
            guard let tensor = trial[layer.output] else { continue }
            let selection = unpruned.selections[layer.vertex, default: []][index]
            try regression.add(
                present: layer.rows(of: tensor, selection),
                wanted: unpruned.rows(of: layer.output, for: layer.vertex, block: index), scale: scale,
                shift: shift, selection)
        }
        guard let fit = try regression.solution(scale: scale, shift: shift, ridge: recovery.ridge) else {
            return
        }
        lane.replace(
            layer.scale, by: try network.stored(fit.scale, like: scale, as: elementTypes[layer.scale]))
        lane.replace(
            layer.shift, by: try network.stored(fit.shift, like: shift, as: elementTypes[layer.shift]))
        lane.layers.append(
            RefittedLayer(
                vertex: layer.vertex, rows: regression.rows, features: 2, strength: fit.strength,
                isSingular: false))
    }
}

extension Network {
    /// New numbers in the precision in which the file stores them, laid out as the old ones.
    fileprivate func stored(_ tensor: Tensor, like old: Tensor?, as type: StorageType?) throws -> Tensor {
        var narrow = try tensor.converted(to: .float32)
        if let type { narrow = try narrow.converted(to: type.scalar).converted(to: .float32) }
        guard let old else { return narrow }
        narrow = try narrow.reshaped(old.shape)
        return old.isChannelsLast && !old.isContiguous ? try narrow.channelsLast() : narrow
    }
}
