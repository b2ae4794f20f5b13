internal import Torch

/// The unpruned model's outputs on the blocks met so far: losses that compare with them need them for every task.
struct ReferenceCache {
    /// The bytes that may be kept, one output at least.
    let limit: Int
    private var outputs: [[Int]: Tensor] = [:]
    private var order: [[Int]] = []
    private var bytes = 0

    /// - Parameter limit: the bytes that may be kept.
    init(limit: Int) { self.limit = limit }

    /// The output for a block, computed unless it is kept; the oldest make room.
    mutating func output(for samples: [Int], compute: () throws -> Tensor) rethrows -> Tensor {
        if let known = outputs[samples] { return known }
        let output = try compute()
        bytes += output.byteCount
        outputs[samples] = output
        order.append(samples)
        while bytes > limit, order.count > 1 {
            bytes -= outputs.removeValue(forKey: order.removeFirst())?.byteCount ?? 0
        }
        return output
    }
}
