internal import Torch

/// What computes in this process: two machines where this differs may round differently.
public enum EngineDescription {
    /// The library with its version, and the instruction sets that it and its matrix products use here.
    public static var text: String {
        let text = "libtorch \(TorchRuntime.version) with \(TorchRuntime.instructionSet)"
        let kernels = TorchRuntime.matrixKernels
        return kernels.isEmpty ? text : text + ", OpenBLAS for \(kernels)"
    }
}
