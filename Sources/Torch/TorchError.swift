internal import CTorch

/// Why a call of libtorch failed.
public enum TorchError: Error, CustomStringConvertible, Sendable {
    /// libtorch refused; with the operator or step that failed, e.g. `aten::conv2d`, and libtorch's own sentence.
    case refused(operation: String, reason: String)
    /// The system gave no memory; with the operator or step that asked for it.
    case outOfMemory(operation: String, reason: String)

    /// The error as a sentence.
    public var description: String {
        switch self {
        case .refused(let operation, let reason): "\(operation): \(reason)"
        case .outOfMemory(let operation, let reason): "\(operation): out of memory: \(reason)"
        }
    }

    /// The calling thread's last error; `nil` when `status` tells of none.
    init?(status: ct_status, _ operation: @autoclosure () -> String) {
        let reason = { String(cString: ct_last_error()) }
        switch status {
        case CT_OK: return nil
        case CT_OUT_OF_MEMORY: self = .outOfMemory(operation: operation(), reason: reason())
        default: self = .refused(operation: operation(), reason: reason())
        }
    }
}

/// Throws the calling thread's last libtorch error when `status` tells of one.
func check(_ status: ct_status, _ operation: @autoclosure () -> String) throws(TorchError) {
    if let error = TorchError(status: status, operation()) { throw error }
}
