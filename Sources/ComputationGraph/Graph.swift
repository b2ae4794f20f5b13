public import ONNX

/// A value of the graph: what one tensor name stands for.
public struct Value: Sendable {
    /// The tensor's name in the file.
    public let name: String
    /// The vertex that computes it; `nil` for model inputs and initialisers.
    public let producer: Int?
    /// The element type, as far as the file tells.
    public let elementType: ElementType
    /// The contents, for an initialiser.
    public let constant: TensorData?
    /// Whether its elements depend on the elements (not just the shape) of a model input.
    public let dependsOnData: Bool
    /// Whether its shape depends on the elements of a model input.
    public let hasDynamicShape: Bool
}

/// A layer: one node of the ONNX graph.
public struct Vertex: Sendable {
    /// The index in the file's node order.
    public let index: Int
    /// The node as it stands in the file, with its attributes.
    public let node: NodeProto
    /// The version of the operator set that the node follows.
    public let version: Int
    /// The value read in each input slot; `nil` where an optional input is left out.
    public let inputs: [Int?]
    /// The value written by each output; `nil` where an output is left out.
    public let outputs: [Int?]
    /// Values of this graph that the node's subgraphs read by name. They are never cut.
    public let captured: [Int]

    /// The operator's name, e.g. `Conv`.
    public var operation: String { node.opType }
    /// The node's name, or its operator and index where the file gives none.
    public var name: String { node.name.isEmpty ? "\(node.opType)_\(index)" : node.name }
}

/// A model input or output as the file declares it.
public struct Port: Sendable {
    /// The value's index in the graph.
    public let value: Int
    /// The tensor's name.
    public let name: String
    /// The element type.
    public let elementType: ElementType
    /// The dimensions; `nil` where symbolic or not given. Empty and `hasShape == false` when no shape is declared.
    public let shape: [Int?]
    /// The names of symbolic dimensions, position by position.
    public let symbols: [String?]
    /// Whether the file declares a shape at all.
    public let hasShape: Bool
}

/// The computation graph of a model: vertices are layers, edges carry values into input slots.
///
/// Vertices are numbered in the file's node order, which the command line uses to name edges. Everything derived
/// here depends on the file alone.
public struct Graph: Sendable {
    /// The model that the graph was read from.
    public let model: ModelFile
    /// Everything that a tensor name stands for: initialisers, inputs, then what vertices compute.
    public let values: [Value]
    /// The layers, in the file's node order.
    public let vertices: [Vertex]
    /// Vertex indices such that each comes after those it reads from.
    public let order: [Int]
    /// The inputs that data must be given for (initialisers are none).
    public let inputs: [Port]
    /// The model's outputs, in the file's order.
    public let outputs: [Port]
    /// For every value, the edges that read it.
    public let consumers: [[Edge]]
    /// For every value, whether it is an output of the model or read inside a subgraph.
    public let isPinned: [Bool]
    /// Value indices by tensor name.
    public let valueIndex: [String: Int]
    /// What is known of slices, once the sizes of values are.
    let couplingBox: CouplingBox

    /// The value that enters through `edge`; `nil` when there is no such edge.
    public func value(on edge: Edge) -> Int? {
        guard vertices.indices.contains(edge.node), vertices[edge.node].inputs.indices.contains(edge.slot)
        else {
            return nil
        }
        return vertices[edge.node].inputs[edge.slot]
    }
}
