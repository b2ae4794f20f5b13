internal import Torch

/// The tensors that the builder of an operator knows before any data, by input slot.
///
/// A builder may look at them, to read a number once instead of on every run. A kernel whose builder looked at a parameter
/// serves one version of the parameters alone; that is noted here.
struct KnownInputs: ExpressibleByArrayLiteral {
    private let tensors: [Tensor?]
    private let watch: Watch?

    private final class Watch {
        let slots: [Int]
        var isRead = false
        init(_ slots: [Int]) { self.slots = slots }
    }

    /// - Parameter watched: the slots whose tensors are parameters, or follow from them.
    init(_ tensors: [Tensor?], watching watched: [Int] = []) {
        self.tensors = tensors
        watch = watched.isEmpty ? nil : Watch(watched)
    }

    init(arrayLiteral tensors: Tensor?...) { self.init(tensors) }

    /// Whether a watched slot was looked at.
    var wereWatchedRead: Bool { watch?.isRead ?? false }

    /// The tensor in a slot; `nil` where it is not known, or there is none.
    subscript(slot: Int) -> Tensor? {
        guard tensors.indices.contains(slot) else { return nil }
        if let watch, watch.slots.contains(slot) { watch.isRead = true }
        return tensors[slot]
    }
}
