internal import ComputationGraph
internal import Torch

/// All blocks of the fit data on their way through a pruned model, with what was refitted so far. A value: a copy of it goes
/// on from where it was taken.
struct FitLane {
    /// The blocks' values.
    var blocks: [Activations]
    /// The place in the model's steps that comes next.
    var next = 0
    /// By value: parameters that were refitted.
    var changed: [Int: Tensor] = [:]
    /// By vertex: biases of layers that had none.
    var addedBiases: [Int: AddedBias] = [:]
    /// The layers that were refitted, in order.
    var layers: [RefittedLayer] = []
    /// The vertices of linear layers that were.
    var refitted: Set<Int> = []

    /// The bytes of the values that are held, refitted parameters left out.
    var byteCount: Int {
        blocks.reduce(0) { sum, block in
            block.heldValues.reduce(sum) { sum, value in
                changed[value] == nil ? sum + (block[value]?.byteCount ?? 0) : sum
            }
        }
    }

    /// How many values a block holds besides the model's inputs and refitted parameters.
    var liveValues: Int {
        let inputs = Set(blocks[0].model.graph.inputs.map(\.value))
        return blocks[0].heldValues.count { changed[$0] == nil && !inputs.contains($0) }
    }

    /// Gives all blocks other numbers for a parameter.
    mutating func replace(_ parameter: Int, by tensor: Tensor) {
        changed[parameter] = tensor
        for index in blocks.indices { blocks[index].replace(parameter, by: tensor) }
    }

    /// Whether every block has the value.
    func has(_ value: Int) -> Bool { blocks.allSatisfy { $0[value] != nil } }
}

/// What a mask changes of the order of a fit.
struct FitSchedule {
    let mask: Mask
    /// One per model of a block size, by the model's identity.
    private let schedules: [ObjectIdentifier: (schedule: Schedule, lastReader: [Int])]
    let cuts: Cuts
    /// Those of the mask that the weights are adapted to already.
    private let knownCuts: Cuts
    /// By value: whether it depends on a cut that they are not adapted to.
    let changes: [Bool]
    /// Positions of the live steps, ascending.
    let steps: [Int]

    /// - Parameters:
    ///   - known: what the weights are adapted to already.
    ///   - models: one per block.
    init(_ mask: Mask, from known: Mask = .empty, _ models: [Specialisation]) {
        self.mask = mask
        var schedules: [ObjectIdentifier: (schedule: Schedule, lastReader: [Int])] = [:]
        for model in models where schedules[ObjectIdentifier(model)] == nil {
            let outputs = model.graph.outputs.map(\.value)
            let schedule = Schedule(model, mask: mask, wanted: outputs, isFused: false)
            schedules[ObjectIdentifier(model)] = (schedule, schedule.lastReaders(in: model))
        }
        self.schedules = schedules
        cuts = Cuts(mask, in: models[0].graph)
        knownCuts = Cuts(known, in: models[0].graph)
        let outputs = models[0].graph.outputs.map(\.value)
        changes = Recomputation(of: outputs, under: mask, from: known, models[0]).changes
        steps = schedules[ObjectIdentifier(models[0])]?.schedule.steps ?? []
    }

    /// Whether what a slot reads depends on a cut that the weights are not adapted to, one of a part of it too, and is not cut
    /// whole.
    func changes(_ slot: Int, of vertex: Int, _ graph: Graph) -> Bool {
        !cuts.isWhole(vertex, slot)
            && (cuts.source(vertex, slot) != knownCuts.source(vertex, slot)
                || graph.vertices[vertex].inputs[slot].map { changes[$0] } ?? false)
    }

    /// Computes the step at `position` for a block.
    ///
    /// - Parameter convolution: how it is computed, where that gains.
    func compute(
        _ position: Int, for block: inout Activations, by convolution: FitConvolution? = nil,
        keeping kept: (Int) -> Bool = { _ in false }
    ) throws {
        guard let own = schedules[ObjectIdentifier(block.model)] else { return }
        if let convolution,
            try convolution.compute(&block, isRead: { own.lastReader[$0] > position || kept($0) })
        {
            return
        }
        try block.compute(position, of: own.schedule, lastReader: own.lastReader, keeping: kept)
    }

    /// The values that steps from a position on read and do not compute themselves.
    func reads(from position: Int, in model: Specialisation) -> Set<Int> {
        var (written, reads): (Set<Int>, Set<Int>) = ([], [])
        for place in steps where place >= position {
            let step = model.steps[place]
            for slot in step.plain.inputs.indices {
                if let value = cuts.read(slot, of: step.plain, in: model.graph), !written.contains(value) {
                    reads.insert(value)
                }
            }
            reads.formUnion(model.graph.vertices[step.vertex].captured.filter { !written.contains($0) })
            for case let value? in step.outputs { written.insert(value) }
        }
        return reads
    }
}
