internal import Glibc
internal import Torch

/// What computes in this process: two machines where this differs may round differently.
public enum EngineDescription {
    /// The library with its version, and the instruction sets that it and its matrix products use here.
    public static var text: String {
        var text = "libtorch \(TorchRuntime.version) with \(TorchRuntime.instructionSet)"
        if let core = openBLASCore { text += ", OpenBLAS for \(core)" }
        return text
    }

    /// The kind of processor that OpenBLAS has chosen its kernels for; `nil` where libtorch uses another library.
    private static var openBLASCore: String? {
        typealias Function = @convention(c) () -> UnsafePointer<CChar>?
        guard let symbol = dlsym(nil, "openblas_get_corename"),
            let name = unsafeBitCast(symbol, to: Function.self)()
        else { return nil }
        return String(cString: name)
    }
}
