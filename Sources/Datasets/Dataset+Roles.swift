extension Dataset {
    /// Labels as int64 `[N]`, `[N, T]` or, for images, `[N, H, W]`.
    ///
    /// - Throws: `elementTypeMismatch` unless they are integers, `shapeMismatch`, and `invalidValue` for a
    ///   negative one other than `ignoredLabel`.
    static func checkedLabels(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
        guard array.elementType.isInteger else {
            throw DatasetError(
                .elementTypeMismatch,
                "labels are class numbers (int64), but these are \(array.elementType.rawValue); name values to "
                    + "regress to '\(targetsName)'")
        }
        guard (1...3).contains(array.shape.count) else {
            throw DatasetError(
                .shapeMismatch,
                "labels have shape [samples], [samples, positions] or [samples, height, width], but this is \(array.shape)"
            )
        }
        let labels = try array.converted(to: .int64)
        let values = labels.values(as: Int64.self)
        if let index = values.firstIndex(where: { $0 < 0 && $0 != ignoredLabel }) {
            throw DatasetError(
                .invalidValue,
                "label \(values[index]) at \(labels.position(index)) is negative, and not \(ignoredLabel) (not counted)"
            )
        }
        return labels
    }

    /// Values to regress to, as float32 `[N, …]`.
    ///
    /// - Throws: `elementTypeMismatch` unless they are floating-point, `invalidValue` for NaN and infinity.
    static func checkedTargets(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
        guard array.elementType.isFloatingPoint else {
            throw DatasetError(
                .elementTypeMismatch,
                "targets are float32, but these are \(array.elementType.rawValue); name class numbers '\(labelsName)'"
            )
        }
        if let index = array.firstNonFiniteIndex() {
            throw DatasetError(.invalidValue, "\(array.position(index)) is NaN or infinite")
        }
        return try array.converted(to: .float32)
    }

    /// Weights as float32 `[N]`.
    ///
    /// - Throws: `elementTypeMismatch`, `shapeMismatch`; `invalidValue` for NaN, infinity, a negative weight,
    ///   and if all are 0.
    static func checkedWeights(_ array: NumpyArray) throws(DatasetError) -> NumpyArray {
        guard array.elementType.isFloatingPoint else {
            throw DatasetError(
                .elementTypeMismatch, "weights are float32, but these are \(array.elementType.rawValue)")
        }
        guard array.shape.count == 1 else {
            throw DatasetError(.shapeMismatch, "weights have shape [samples], but this is \(array.shape)")
        }
        if let index = array.firstNonFiniteIndex() {
            throw DatasetError(.invalidValue, "\(array.position(index)) is NaN or infinite")
        }
        let weights = try array.converted(to: .float32)
        let values = weights.values(as: Float.self)
        if let index = values.firstIndex(where: { $0 < 0 }) {
            throw DatasetError(.invalidValue, "weight \(values[index]) of sample \(index) is negative")
        }
        guard values.contains(where: { $0 > 0 }) else {
            throw DatasetError(.invalidValue, "all weights are 0, so no sample would count")
        }
        return weights
    }
}
