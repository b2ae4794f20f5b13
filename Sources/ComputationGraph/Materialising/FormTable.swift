internal import ONNX

/// What every value has become, and the sizes of the tensors that were made on the way.
///
/// Sizes are those of the first run of the original model: costs are counted with them.
struct FormTable {
    private var forms: [Form?]
    /// The shape of every value of the original graph in the first run.
    private let originals: [[Int]?]
    /// The sizes of tensors, by name.
    private(set) var sizes: [String: [Int]] = [:]

    /// Initialisers and model inputs are tensors; nothing is known of the rest.
    init(_ graph: Graph, _ shapes: [[Int]?]) {
        forms = graph.values.map { $0.producer == nil ? .tensor($0.name) : nil }
        originals = shapes
        for (value, shape) in zip(graph.values, shapes) { if let shape { sizes[value.name] = shape } }
    }

    /// What a value has become; `nil` for what is dead.
    subscript(value: Int) -> Form? {
        get { forms[value] }
        set {
            forms[value] = newValue
            if let newValue { recordSizes(of: newValue, value) }
        }
    }

    /// Takes note of a tensor's sizes, unless they are known.
    mutating func record(_ name: String, _ shape: [Int]?) {
        if let shape, sizes[name] == nil { sizes[name] = shape }
    }

    /// Takes note of a tensor that has a value's whole shape.
    mutating func record(_ name: String, likeValue value: Int) {
        record(name, originals.indices.contains(value) ? originals[value] : nil)
    }

    /// Takes note of a tensor like another one but for the size of one axis.
    mutating func record(_ name: String, like other: String, axis: Int, size: Int) {
        guard var shape = sizes[other], shape.indices.contains(axis) else { return }
        shape[axis] = size
        record(name, shape)
    }

    private mutating func recordSizes(of form: Form, _ value: Int) {
        switch form {
        case .tensor(let name): record(name, likeValue: value)
        case .narrow(let name, let shape): record(name, shape)
        case .uniform: break
        case .partial(let partial):
            guard originals.indices.contains(value), var shape = originals[value],
                shape.indices.contains(partial.axis)
            else { return }
            switch partial.packing {
            case .packed(let name):
                shape[partial.axis] = partial.liveLength
                record(name, shape)
            case .pieces(let names):
                for (name, segment) in zip(names, partial.segments.filter(\.isLive)) {
                    shape[partial.axis] = segment.length
                    record(name, shape)
                }
            }
        }
    }
}
