internal import ONNX

/// The floating-point operations that a node takes: a multiply-add counts 2, an elementwise function 1 per
/// element of its output, a comparison in pooling 1, and moving data nothing.
///
/// The count for convolutions and matrix products is the usual one (He et al., Deep residual learning, 2016, count
/// multiply-adds: half of it).
struct FloatingPointOperations {
    let node: NodeProto
    /// The shape in each input slot; `nil` where it is left out or not known.
    let inputs: [[Int]?]
    /// The shape of the first output.
    let output: [Int]?

    /// Operations for the whole batch that the shapes are for.
    var count: Int { node.facts.operations(self) }

    /// The shape in an input slot; `nil` where it is left out or not known.
    func input(_ slot: Int) -> [Int]? { inputs.indices.contains(slot) ? inputs[slot] : nil }

    /// The elements of a shape; none where it is not known.
    func elements(_ shape: [Int]?) -> Int { shape?.reduce(1, *) ?? 0 }

    /// The elements of the first input.
    var inputElements: Int { elements(input(0)) }

    /// The elements of the first output.
    var outputElements: Int { elements(output) }

    /// One operation per output element where a bias is added.
    var biasOperations: Int { input(2) == nil ? 0 : outputElements }

    /// An integer attribute.
    func attribute(_ name: String) -> Int? {
        node.attribute.first { $0.name == name }.map { Int($0.i) }
    }
}
