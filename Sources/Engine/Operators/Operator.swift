internal import ComputationGraph
internal import ONNX
internal import Torch

/// Computes one vertex: takes the tensor in each input slot (`nil` where an optional input is left out) and gives
/// the outputs by position (`nil` for optional outputs that nobody reads and that were not computed).
///
/// A kernel is pure: it never writes into its inputs, since others may still read them; and it is deterministic.
/// Inside the engine floating-point tensors are float32 whatever the model stores, uint16 is held as int32, uint32
/// and uint64 as int64; the other integer types and bool are as they are.
typealias Kernel = ([Tensor?]) throws -> [Tensor?]

/// Makes the kernel of a node: reads its attributes once, so that the kernel itself looks nothing up.
typealias OperatorBuilder = (OperatorContext) throws -> Kernel

/// What the builder of an operator sees of its node.
struct OperatorContext {
    /// The vertex, with its node's attributes, opset version and number of inputs and outputs.
    let vertex: Vertex
    /// For every input slot, the tensor when it is known before any data is (initialisers, and what follows from them).
    let constants: KnownInputs
    /// For every input slot, the element type in the model, where it is known; the engine may hold another.
    var inputTypes: [ElementType?] = []

    /// The node with its attributes.
    var node: NodeProto { vertex.node }
    /// The opset version that the node follows.
    var version: Int { vertex.version }

    /// Whether output `position` is read by anyone.
    func wants(output position: Int) -> Bool {
        vertex.outputs.indices.contains(position) && vertex.outputs[position] != nil
    }

    /// An error that names the node.
    func error(_ reason: String) -> EngineError {
        .node(index: vertex.index, name: vertex.name, operation: vertex.operation, reason: reason)
    }

    /// The tensor in a slot that the operator requires.
    func required(_ inputs: [Tensor?], _ slot: Int) throws -> Tensor {
        guard slot < inputs.count, let tensor = inputs[slot] else {
            throw error("input \(slot) is missing")
        }
        return tensor
    }

    /// The tensor in an optional slot.
    func optional(_ inputs: [Tensor?], _ slot: Int) -> Tensor? { slot < inputs.count ? inputs[slot] : nil }

    /// A dimension number in `0..<rank`, counted from the end when negative.
    func axis(_ axis: Int, rank: Int) throws -> Int {
        let resolved = axis < 0 ? axis + rank : axis
        guard resolved >= 0 && resolved < max(rank, 1) else {
            throw error("axis \(axis) is outside a tensor of \(rank) dimensions")
        }
        return resolved
    }
}

/// What follows from an operator for the engine besides its kernel.
struct KernelTraits {
    /// The first operator set whose definition is the one that the builder, written for set 7 and later, takes it to mean.
    ///
    /// Source: ONNX's operator changelog. Before set 7 broadcasting and several attributes had another meaning.
    var since = 7
    /// How it is computed into the memory of an operand.
    var inPlace: InPlaceOperation?
    /// The slot of the weights that are kept with the channels innermost.
    var channelsLastSlot: Int?
    /// Whether, of two operands of one shape, the result is one where the other is zero.
    var zeroIsNeutral = false
    /// Whether its derivative is 0 wherever it exists: autograd passes zeros back, which say nothing.
    var isStepFunction = false

    /// An operation that overwrites its first argument.
    struct InPlaceOperation {
        let operation: Operation
        /// The number of operands.
        let operands: Int
        /// The input slots that the first argument may come from: both where two operands commute.
        let slots: [Int]

        /// libtorch's operation of this name with one operand.
        init(_ name: String) { (operation, operands, slots) = (Operation(name), 1, [0]) }

        /// libtorch's operation of this name with two operands.
        init(_ name: String, over slots: [Int]) {
            (operation, operands, self.slots) = (Operation(name), 2, slots)
        }
    }
}

/// The operators of one file, by `ai.onnx` name: how their kernels are made, and what else follows from them.
struct OperatorFamily: ExpressibleByDictionaryLiteral {
    let builders: [String: OperatorBuilder]
    /// The traits of those that have any.
    let traits: [String: KernelTraits]
    /// The operators whose operands may not be of any types.
    let operands: [OperandTypes: [String]]

    init(
        _ builders: [String: OperatorBuilder], traits: [String: KernelTraits] = [:],
        operands: [OperandTypes: [String]] = [:]
    ) {
        self.builders = builders
        self.traits = traits
        self.operands = operands
    }

    init(dictionaryLiteral elements: (String, OperatorBuilder)...) {
        self.init(Dictionary(uniqueKeysWithValues: elements))
    }
}

/// The operators that the engine knows. Each family is a file of its own.
enum Operators {
    /// Every family's builders. A name stands in one family alone.
    nonisolated(unsafe) static let builders: [String: OperatorBuilder] =
        Dictionary(uniqueKeysWithValues: families.flatMap { $0.builders.map { ($0.key, $0.value) } })

    private static let traits: [String: KernelTraits] =
        Dictionary(uniqueKeysWithValues: families.flatMap { $0.traits.map { ($0.key, $0.value) } })

    private static let operands: [String: OperandTypes] =
        Dictionary(
            uniqueKeysWithValues: families.flatMap(\.operands).flatMap { types, names in
                names.map { ($0, types) }
            })

    /// What the operands of an operator of ai.onnx have to be; `nil` for anything.
    static func operands(of operation: String) -> OperandTypes? { operands[operation] }

    /// The traits of an operator of ai.onnx.
    static func traits(of operation: String) -> KernelTraits { traits[operation] ?? KernelTraits() }

    /// Whether an operator of set `version` means what the engine's builders take it to mean.
    static func holds(_ operation: String, version: Int) -> Bool {
        max(version, 1) >= traits(of: operation).since
    }

    /// The builder of an operator; `nil` when the engine does not have it.
    static func builder(domain: String, operation: String) -> OperatorBuilder? {
        if domain == ModelProto.assumptionDomain && operation == "Assume" { return assumption(_:) }
        return domain.isEmpty || domain == "ai.onnx" ? builders[operation] : nil
    }

    /// The node that stands where an If was resolved: at these sizes the condition has to be what it was then.
    private static func assumption(_ context: OperatorContext) throws -> Kernel {
        let expected = try context.flag("holds")
        return { inputs in
            guard try context.required(inputs, 0).item(as: Bool.self) == expected else {
                throw context.error(
                    "the model takes another branch at these sizes than at all those that were tried; export it with "
                        + "fixed sizes")
            }
            return []
        }
    }
}
