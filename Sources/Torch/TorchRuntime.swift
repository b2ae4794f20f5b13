internal import CTorch

/// Process-wide settings of the tensor engine.
public enum TorchRuntime {
    /// The version of libtorch that was built against, e.g. `1.13.1`.
    public static var version: String { String(cString: ct_version()) }

    /// The instruction set that libtorch's own kernels use here, e.g. `AVX2`.
    public static var instructionSet: String {
        let key = "CPU capability usage: "
        let line = String(cString: ct_config()).split(separator: "\n").first { $0.contains(key) }
        return line?.split(separator: " ").last.map(String.init) ?? "unknown instructions"
    }

    /// Prepares the process for computing on one thread. Done once; later calls change nothing.
    public static func prepare() { _ = prepared }

    /// Hands freed memory back to the system: after blocks of unusual sizes, gaps would be left that no others fit into.
    public static func releaseFreedMemory() { ct_release_freed_memory() }

    private static let prepared: Void = ct_set_threads(1)

    /// Sets how much memory all tensors of this process may take: beyond it operators throw `TorchError.outOfMemory`, where
    /// the system would end the process.
    public static func limitMemory(to bytes: Int) { ct_limit_memory(UInt64(max(0, bytes))) }

    /// Runs `body`, whose operators throw `TorchError.outOfMemory` where all tensors of this process would take more than
    /// `bytes`.
    public static func withMemory<Result>(atMost bytes: Int, _ body: () throws -> Result) rethrows -> Result {
        let before = ct_limit_own_memory(UInt64(max(0, bytes)))
        defer { _ = ct_limit_own_memory(before) }
        return try body()
    }

    /// The processor that the BLAS chose its kernels for, e.g. `SkylakeX`; empty where it does not say.
    public static var matrixKernels: String { String(cString: ct_matrix_kernels()) }

    /// Runs `body` while operators on this thread are recorded for backward.
    public static func withGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
        try recording(true, body)
    }

    /// Runs `body` while operators on this thread are not recorded, as is usual.
    public static func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
        try recording(false, body)
    }

    private static func recording<Result>(_ isOn: Bool, _ body: () throws -> Result) rethrows -> Result {
        let before = ct_gradients()
        ct_set_gradients(isOn)
        defer { ct_set_gradients(before) }
        return try body()
    }
}

extension Tensor {
    /// Marks this tensor as one that gradients are wanted for.
    public func requireGradient() throws(TorchError) {
        try check(ct_requires_gradient(handle, true), "requireGradient()")
    }

    /// Whether gradients are wanted for this tensor, or for what it was computed from.
    public var hasGradient: Bool { ct_has_gradient(handle) }

    /// Gradients of `sum(outputs · seeds)` with respect to `inputs`.
    ///
    /// - Parameters:
    ///   - seeds: one tensor per output, of its shape; `nil` for a scalar output.
    ///   - createGraph: whether the gradients can themselves be differentiated.
    /// - Returns: one gradient per input; `nil` where no output depends on it.
    public static func gradients(
        of outputs: [Tensor], seeds: [Tensor?]? = nil, withRespectTo inputs: [Tensor],
        keepGraph: Bool = false,
        createGraph: Bool = false
    ) throws(TorchError) -> [Tensor?] {
        let outputHandles: [OpaquePointer?] = outputs.map(\.handle)
        let seedHandles: [OpaquePointer?] = (seeds ?? outputs.map { _ in nil }).map { $0?.handle }
        let inputHandles: [OpaquePointer?] = inputs.map(\.handle)
        var results = [OpaquePointer?](repeating: nil, count: inputs.count)
        let status = ct_gradient(
            outputHandles, seedHandles, Int32(outputs.count), inputHandles, Int32(inputs.count), keepGraph,
            createGraph, &results)
        withExtendedLifetime((outputs, seeds, inputs)) {}
        try check(status, "gradients(of:)")
        var gradients: [Tensor?] = []
        for result in results {
            gradients.append(try result.map { handle throws(TorchError) in try Tensor(owning: handle) })
        }
        return gradients
    }
}
