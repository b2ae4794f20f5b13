internal import Torch

/// The unpruned model's outputs on the blocks met so far: losses that compare with them need them for every task.
struct ReferenceCache {
    /// The bytes that may be kept, one output at least.
    let limit: Int
    private var outputs: [[Int]: [Tensor]] = [:]
    private var order: [[Int]] = []
    private var bytes = 0

    /// - Parameter limit: the bytes that may be kept.
    init(limit: Int) { self.limit = limit }

    /// The outputs for a block, computed unless they are kept; the oldest make room.
    mutating func outputs(for samples: [Int], compute: () throws -> [Tensor]) rethrows -> [Tensor] {
        if let known = outputs[samples] { return known }
        let computed = try compute()
        bytes += computed.reduce(0) { $0 + $1.byteCount }
        outputs[samples] = computed
        order.append(samples)
        while bytes > limit, order.count > 1 {
            bytes -= outputs.removeValue(forKey: order.removeFirst())?.reduce(0) { $0 + $1.byteCount } ?? 0
        }
        return computed
    }
}
