extension Operators {
    /// One dictionary per family, each defined in the file named after it.
    nonisolated(unsafe) static let families: [[String: OperatorBuilder]] = [
        convolutions,
        pooling,
        unary,
        activations,
        binary,
        clipping,
        casts,
        reductions,
        sorting,
        probabilities,
        shapes,
        reshaping,
        slicing,
        gathering,
        scattering,
        padding,
        rearranging,
        uniqueness,
        suppression,
        quantization,
        integerProducts,
    ]
}
