internal import ComputationGraph
internal import Datasets
internal import Torch

/// How much the channels, heads and neurons of a model matter to the layers that sum over them, by a cheap criterion.
final class SliceSaliency {
    private let network: Network
    private let dataset: Dataset
    private let terms: LossTerms
    private let weights: [Float]
    private let axes: SampleAxes
    private let reads: SliceReads
    private let layers: [Int: LinearMap]

    /// - Parameter axes: where samples lie in the network's values.
    /// - Precondition: the sizes of the network's values are known.
    init(_ network: Network, _ dataset: Dataset, _ loss: LossDescription, axes: SampleAxes) throws {
        (self.network, self.dataset, self.axes) = (network, dataset, axes)
        terms = try LossTerms(loss, graph: network.graph, dataset: dataset)
        weights = try loss.weights(for: dataset)
        reads = SliceReads(of: network.graph)
        layers = Dictionary(
            LinearMaps(of: network.graph).maps.map { ($0.vertex, $0) },
            uniquingKeysWith: { first, _ in first })
    }

    /// A criterion's sums over samples, atom by atom.
    func sums(
        of criterion: SliceCriterion, mask: Mask, parameters: Parameters?, means: Means, samples: [Int]
    ) throws -> [Double] {
        let state = State(mask: network.classes.canonical(mask), parameters: parameters, means: means)
        switch criterion {
        case .wanda:
            let columns = try contributions(state, samples)
            return reads.atoms.map { reads in reads.reduce(0) { $0 + columns[$1.place].sum(over: $1.ranges) }
            }
        case .taylor1: return try derivativeSums(state, samples) { abs($0) }
        case .fisher: return try derivativeSums(state, samples) { $0 * $0 / 2 }
        }
    }

    /// What is looked at.
    private struct State {
        let mask: Mask
        let parameters: Parameters?
        let means: Means
    }

    // MARK: Derivatives

    /// The weighted sum over samples of what is made of an atom's derivative, atom by atom.
    private func derivativeSums(_ state: State, _ samples: [Int], _ measure: (Double) -> Double) throws
        -> [Double]
    {
        let ownAxes = reads.places.map { axes[$0.value] }
        let canTellApart = samples.count == 1 || !ownAxes.contains { $0 == nil }
        var sums = [Double](repeating: 0, count: reads.atoms.count)
        for part in canTellApart ? [samples] : samples.map({ [$0] }) {
            let gradients = try gradients(state, part, ownAxes)
            for (row, sample) in part.enumerated() {
                let weight = Double(weights[sample])
                for (atom, own) in reads.atoms.enumerated() {
                    let derivative = own.reduce(0.0) { sum, read in
                        let start = row * reads.places[read.place].length
                        return gradients[read.place].map {
                            sum + $0.sum(over: read.ranges, from: start)
                        } ?? sum
                    }
                    sums[atom] += weight * measure(derivative)
                }
            }
        }
        return sums
    }

    /// By place, ∂l_n/∂z for every sample and position, [N, C]; `nil` where nothing depends on it.
    private func gradients(_ state: State, _ samples: [Int], _ axes: [Int?]) throws -> [[Double]?] {
        let inputs = try network.inputs(samples, of: dataset)
        let gates = try PositionGates(at: reads.places, axes: axes, samples: samples.count)
        let compared = try terms.block(samples) {
            try network.values(terms.outputs, of: inputs, mask: .empty)
        }
        var activations = Activations(
            try network.specialisation(for: inputs, state.parameters), inputs: inputs, means: state.means)
        let loss = try TorchRuntime.withGradients {
            try activations.compute(
                terms.outputs, mask: state.mask, recording: Activations.Recording(gates: gates))
            let outputs = try terms.outputs.map { value in
                guard let output = activations[value] else {
                    throw EngineError.data(
                        "the model's output '\(network.graph.values[value].name)' was not computed")
                }
                return output
            }
            return try terms.losses(outputs, against: compared).summed(over: [0])
        }
        guard try loss.isRecorded else { return reads.places.map { _ in nil } }
        return try Tensor.gradients(of: [loss], withRespectTo: gates.leaves).map { try $0?.elements() }
    }

    // MARK: Contributions

    /// By place and position, Σ ‖W‖²·‖x‖² of what its layer reads there; without the weights where there are none.
    private func contributions(_ state: State, _ samples: [Int]) throws -> [[Double]] {
        let inputs = try network.inputs(samples, of: dataset)
        let model = try network.specialisation(for: inputs, state.parameters)
        var columns = reads.places.map { [Double](repeating: 0, count: $0.length) }
        var activations = Activations(model, inputs: inputs, means: state.means)
        try activations.compute(
            terms.outputs, mask: state.mask,
            recording: Activations.Recording(before: { [self] step, values in
                for index in reads.index[step.vertex, default: []] {
                    let place = reads.places[index]
                    guard let value = values[place.edge.slot], value.rank > place.axis else { continue }
                    var squares = try value.squareSums(along: place.axis)
                    let own = try layers[step.vertex].flatMap { layer in
                        try model.constants[layer.weight].flatMap {
                            try layer.squares($0, of: place, in: value)
                        }
                    }
                    if let own { squares = zip(squares, own).map { $0 * $1 } }
                    columns[index] = squares
                }
            }))
        return columns
    }
}

/// Where the atoms of a graph's groups are read.
struct SliceReads {
    /// A slot, and the axis of its value that atoms lie along.
    struct Place: Hashable {
        let edge: Edge
        let axis: Int
        let value: Int
        /// How many positions the axis has.
        let length: Int
    }

    let places: [Place]
    /// The places of each vertex.
    let index: [Int: [Int]]
    /// By atom, group by group, the places that it is read at, and its positions there.
    let atoms: [[(place: Int, ranges: [Range<Int>])]]

    init(of graph: Graph) {
        var places: [Place] = []
        var known: [Place: Int] = [:]
        atoms = SliceGroups(of: graph).reads(in: graph).joined().map { reads in
            reads.sorted { $0.key < $1.key }.flatMap { edge, positions in
                positions.compactMap { own in
                    guard let value = graph.value(on: edge),
                        let length = graph.size(of: value, axis: own.axis)
                    else { return nil }
                    let place = Place(edge: edge, axis: own.axis, value: value, length: length)
                    let number = known[place] ?? places.count
                    if number == places.count {
                        known[place] = number
                        places.append(place)
                    }
                    return (number, own.ranges)
                }
            }
        }
        self.places = places
        index = Dictionary(grouping: places.indices) { places[$0].edge.node }
    }
}

/// Gates of 1 on all positions along an axis of what slots read: leaves [N, C], or [C] where samples cannot be told apart.
private struct PositionGates: EdgeGates {
    let leaves: [Tensor]
    private let places: [SliceReads.Place]
    private let axes: [Int?]
    private let index: [Edge: [Int]]

    /// - Parameter axes: by place, the samples' dimension of its value.
    init(at places: [SliceReads.Place], axes: [Int?], samples: Int) throws {
        (self.places, self.axes) = (places, axes)
        index = Dictionary(grouping: places.indices) { places[$0].edge }
        leaves = try zip(places, axes).map { place, axis in
            let leaf = try Tensor.filled(
                1, shape: axis == nil ? [place.length] : [samples, place.length], type: .float32)
            try leaf.requireGradient()
            return leaf
        }
    }

    func callAsFunction(_ value: Tensor, on edge: Edge) throws -> Tensor {
        try index[edge, default: []].reduce(value) { value, number in
            let (place, leaf) = (places[number], leaves[number])
            var shape = [Int](repeating: 1, count: value.rank)
            shape[place.axis] = place.length
            guard let axis = axes[number] else { return try value * leaf.reshaped(shape) }
            shape[axis] = leaf.shape[0]
            return try value * (axis < place.axis ? leaf : leaf.transposed(0, 1)).reshaped(shape)
        }
    }
}

extension LinearMap {
    /// By position of what the layer reads along an axis, the sum of the squares of the weights that it is multiplied by; `nil`
    /// where the layer does not sum along that axis alone.
    fileprivate func squares(_ weight: Tensor, of place: SliceReads.Place, in value: Tensor) throws
        -> [Double]?
    {
        guard place.edge.slot == dataSlot else { return nil }
        let found: [Double]
        switch form {
        case .convolution(let groups):
            // (M, C/groups, k1…): a group's M/groups kernels read its C/groups channels.
            let (kernels, depth) = (weight.shape[0], weight.shape[1])
            found = try weight.reshaped([groups, kernels / groups, depth, -1]).transposed(1, 2)
                .reshaped([groups * depth, -1]).squareSums(along: 0)
        case .transposedConvolution: found = try weight.squareSums(along: 0)
        case .rightProduct: found = try weight.squareSums(along: max(0, weight.rank - 2))
        case .leftProduct: found = try weight.squareSums(along: weight.rank - 1)
        case .gemm(_, _, let isTransposed): found = try weight.squareSums(along: isTransposed ? 1 : 0)
        }
        return found.count == place.length ? found : nil
    }
}

extension Tensor {
    /// By position along an axis, the sum of the squares of the elements there.
    fileprivate func squareSums(along axis: Int) throws -> [Double] {
        let inner = shape[(axis + 1)...].reduce(1, *)
        return try (self * self).reshaped([-1, shape[axis], inner]).summed(over: [0, 2]).elements()
    }
}

extension [Double] {
    /// The sum over ranges of places, counted from a first one.
    fileprivate func sum(over ranges: [Range<Int>], from start: Int = 0) -> Double {
        ranges.reduce(0) { sum, range in
            self[start + range.lowerBound..<start + range.upperBound].reduce(sum, +)
        }
    }
}
