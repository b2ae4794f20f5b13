internal import ONNX

/// Fourier transforms and windows.
extension OperatorFacts {
    static let signal: [String: OperatorFacts] =
        each(["BlackmanWindow", "HammingWindow", "HannWindow"], OperatorFacts(shape: .elements([0])))
        .merging(each(["DFT", "MelWeightMatrix", "STFT"], OperatorFacts())) { first, _ in first }
}
