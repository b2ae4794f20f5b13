public import ComputationGraph
internal import Torch
public import Training

/// Weights that variants start from in place of the model's own, by their names: those of the states in work.
final class StartingWeights {
    /// What a recovery made for a mask.
    struct Entry {
        let mask: Mask
        let refit: Refit
    }

    private var entries: [(name: WeightsID, entry: Entry)] = []

    /// Makes sure that weights are known; the longest unused ones go where there are too many.
    ///
    /// - Parameters:
    ///   - budget: the bytes that may be kept; the last ones are kept whatever they take.
    ///   - replaced: told of those that go.
    func use(
        _ name: WeightsID, budget: Int, replaced: (WeightsID) -> Void, load: () throws -> Entry
    ) rethrows {
        if let place = entries.firstIndex(where: { $0.name == name }) {
            entries.append(entries.remove(at: place))
            return
        }
        entries.append((name, try load()))
        while entries.count > 1, entries.reduce(0, { $0 + $1.entry.refit.byteCount }) > budget {
            replaced(entries.removeFirst().name)
        }
    }

    /// The weights of a name.
    ///
    /// - Throws: `EngineError` for weights that were never put to use.
    func entry(_ name: WeightsID) throws -> Entry {
        guard let known = entries.last(where: { $0.name == name }) else {
            throw EngineError.data("the weights \(name) are not here")
        }
        return known.entry
    }
}

extension Evaluator {
    /// Makes sure that variants can start from these weights.
    ///
    /// - Parameters:
    ///   - load: gives them where they are not known.
    ///   - replaced: told of weights that are kept no more.
    /// - Throws: what `load` throws, and `EngineError` for weights of another model.
    public func use(
        weights name: WeightsID, load: () throws -> RecoveredWeights, replaced: (WeightsID) -> Void = { _ in }
    ) throws {
        try network.startingWeights.use(name, budget: keptBytes / 4, replaced: replaced) {
            let weights = try load()
            return StartingWeights.Entry(mask: weights.mask, refit: try network.refit(weights))
        }
    }

    /// The weights that a variant's recovery makes, for its expansions to start from.
    ///
    /// - Throws: `EngineError` that names the node that failed, or where there are no fit data.
    public func recoveredWeights(_ variant: Variant) throws -> RecoveredWeights {
        let refit = try refit(variant)
        return RecoveredWeights(
            variant.mask,
            parameters: try (refit?.changed ?? [:]).map {
                RecoveredWeights.Parameter(value: $0.key, elements: try $0.value.elements(as: Float.self))
            },
            biases: try (refit?.addedBiases ?? [:]).map {
                RecoveredWeights.Bias(
                    vertex: $0.key, channelAxisFromEnd: $0.value.broadcastRank - 1,
                    elements: try $0.value.flat.elements(as: Float.self))
            })
    }
}

extension Network {
    /// Recovered weights as the model computes with them.
    ///
    /// - Throws: `EngineError` for weights of another model.
    fileprivate func refit(_ weights: RecoveredWeights) throws -> Refit {
        let changed = try tensors(
            weights.parameters.map(\.value), weights.parameters.flatMap(\.elements))
        let biases = try Dictionary(
            weights.biases.map { bias in
                guard graph.vertices.indices.contains(bias.vertex) else {
                    throw EngineError.data("there is no layer \(bias.vertex) that could have a bias")
                }
                return (
                    bias.vertex,
                    try AddedBias(Tensor(bias.elements), channelAxisFromEnd: bias.channelAxisFromEnd)
                )
            }, uniquingKeysWith: { first, _ in first })
        return Refit(
            parameters: try parameters.replacing(
                changed, addingBiases: biases, version: "recovered for \(weights.mask)"),
            changed: changed, addedBiases: biases, layers: [])
    }
}
