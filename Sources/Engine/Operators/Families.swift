extension Operators {
    /// One dictionary per family, each defined in the file named after it.
    nonisolated(unsafe) static let families: [[String: OperatorBuilder]] = [
        convolutions,
        pooling,
        normalization,
        linearAlgebra,
        losses,
        resampling,
        recurrent,
        signal,
    ]
}
