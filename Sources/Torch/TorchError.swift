import CTorch

/// What libtorch said when a call failed.
public struct TorchError: Error, CustomStringConvertible, Sendable {
    /// The operator or step that failed, e.g. `aten::conv2d`.
    public let operation: String
    /// libtorch's own sentence.
    public let reason: String

    /// The error as a sentence.
    public var description: String { "\(operation): \(reason)" }
}

/// Throws the calling thread's last libtorch error when `status` is not 0.
func check(_ status: Int32, _ operation: @autoclosure () -> String) throws(TorchError) {
    if status != 0 { throw TorchError(operation: operation(), reason: String(cString: ct_last_error())) }
}
