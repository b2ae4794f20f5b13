internal import ComputationGraph

/// The weights of the states that compared searches found, in memory.
final class SearchedWeights {
    private var known: [WeightsID: [UInt8]] = [:]

    /// Keeps weights under their name.
    func keep(_ bytes: [UInt8], as name: WeightsID) { known[name] = bytes }

    /// The bytes of weights.
    ///
    /// - Throws: `InputError` for weights that no search made.
    func bytes(of name: WeightsID) throws -> [UInt8] {
        guard let bytes = known[name] else { throw InputError("the weights \(name) were not kept") }
        return bytes
    }
}
