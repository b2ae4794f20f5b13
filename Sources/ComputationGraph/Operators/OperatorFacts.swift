package import ONNX

/// What is known of one operator, apart from how it is computed: the types and sizes of its outputs, what it does to zeros,
/// signs and constants, what it costs, and how a vertex becomes smaller under a mask.
///
/// Types and shapes aside, each fact has a default that is right for every operator and costs at most some savings; by default
/// an output has the type of the first input, and a shape that follows from the inputs' shapes. Operators are described in the
/// file of their family beside this one, as their kernels are in `Engine`; all other code asks for facts and names no operator.
///
/// A class, because vertices are asked for their facts often and nothing ever changes them.
package final class OperatorFacts: Sendable {
    // MARK: Types and shapes

    /// The element type of an output; `nil` when the operator's definition does not tell.
    let outputType: @Sendable (OutputTyping) -> ElementType?
    /// What the shapes of the outputs follow from.
    let shape: ShapeSource
    /// Whether of its inputs it reads the shapes alone, not the elements.
    package let readsOnlyShape: Bool
    /// Whether its output lists the sizes of its input.
    let listsSizes: Bool
    /// Whether the node stores its output itself.
    let isStored: Bool
    /// Whether its inputs broadcast to the shape of its output.
    let broadcasts: Bool
    /// Which sizes of an output may follow from an axis that no run varied; `nil` when the rule is not known.
    let sizes: SizeRule?
    /// The same for the elements of an output that holds sizes.
    let sizeElements: SizeElementRule?
    /// How a size of the first output follows from sizes of the inputs.
    let derivedSize: SizeDerivation
    /// How positions along axes of the inputs correspond to positions along axes of the outputs; `nil` where the rule is not
    /// known.
    let axes: AxisRule?
    /// What of a node changes, besides its weights, when positions along axes go; `nil` for nothing.
    let slicing: SlicingRule?
    /// The numbers of an output that is a list of sizes; `nil` where they are not worked out.
    let list: ListRule?
    /// Whether the numbers that it makes of sizes are in no proportion to them: a quotient without the rest.
    let roundsSizes: Bool

    // MARK: Zeros, signs, numbers that are not finite

    /// Whether zeros in an input slot give zeros, for every finite value in the other slots.
    let preservesZeros: @Sendable (InputSlot) -> Bool
    /// Which inputs have to be zero for the output to be zero wherever it is a number.
    let zeroOutput: ZeroOutput
    /// Whether finite inputs can give infinity or NaN, at inputs that a mask has changed; `nil` where they never do.
    let spoils: (@Sendable (FinitenessRisk.Site) -> Bool)?
    /// What is certain of the signs of the outputs.
    let sign: @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign

    // MARK: Costs and roles

    /// The floating-point operations that it takes.
    let operations: @Sendable (FloatingPointOperations) -> Int
    /// The slots in which tensors of the file count as parameters.
    let parameters: ParameterSlots
    /// What it is in a drawing of the network.
    let role: LayerRole
    /// Whether it joins branches.
    let joinsBranches: Bool
    /// Whether the magnitude of its constant matrices, kernels and tables speaks for what it computes.
    package let hasWeights: Bool
    /// Whether a vertex behaves as in training, where a sample's result is random or depends on others in its batch.
    package let isTraining: @Sendable (Graph, Vertex) -> Bool

    // MARK: Refitting

    /// How its output is linear in a weight; `nil` where it is not.
    package let linear: LinearForm?
    /// What it does to one input where the others are constants; `nil` where that cannot be undone.
    package let affine: AffineForm?
    /// Where it has a scale and a shift of its own; `nil` where it has none.
    package let normalisation: NormalisationForm?

    // MARK: Training

    /// Which of its operands training changes where they follow from initialisers alone.
    let trained: TrainedOperands

    // MARK: Simplification

    /// The outputs for constant inputs; `nil` where they are not worked out.
    let evaluation: ConstantRule?
    /// Whether its consumers may read its first input in place of its output.
    let renaming: Renaming
    /// What makes a vertex smaller because of what it reads, tried in this order.
    let simplifications: [Simplification]

    init(
        outputType: @escaping @Sendable (OutputTyping) -> ElementType? = { $0.input(0) },
        shape: ShapeSource = .inputShapes, readsOnlyShape: Bool = false, listsSizes: Bool = false,
        isStored: Bool = false, broadcasts: Bool = false, sizes: SizeRule? = nil,
        sizeElements: SizeElementRule? = nil, derivedSize: SizeDerivation = .sameAsInput,
        axes: AxisRule? = nil, slicing: SlicingRule? = nil, list: ListRule? = nil, roundsSizes: Bool = false,
        preservesZeros: @escaping @Sendable (InputSlot) -> Bool = { _ in false },
        zeroOutput: ZeroOutput = .unknown,
        spoils: (@Sendable (FinitenessRisk.Site) -> Bool)? = nil,
        sign: @escaping @Sendable (FinitenessRisk.Site) -> FinitenessRisk.Sign = { _ in .any },
        operations: @escaping @Sendable (FloatingPointOperations) -> Int = { $0.outputElements },
        parameters: ParameterSlots = ParameterSlots(), role: LayerRole = .other, joinsBranches: Bool = false,
        hasWeights: Bool = false, isTraining: @escaping @Sendable (Graph, Vertex) -> Bool = { _, _ in false },
        linear: LinearForm? = nil, affine: AffineForm? = nil, normalisation: NormalisationForm? = nil,
        trained: TrainedOperands? = nil,
        evaluation: ConstantRule? = nil, renaming: Renaming = .never, simplifications: [Simplification] = []
    ) {
        (self.outputType, self.shape, self.readsOnlyShape) = (outputType, shape, readsOnlyShape)
        (self.listsSizes, self.isStored, self.broadcasts) = (listsSizes, isStored, broadcasts)
        (self.sizes, self.sizeElements, self.derivedSize) = (sizes, sizeElements, derivedSize)
        (self.axes, self.slicing, self.list, self.roundsSizes) = (axes, slicing, list, roundsSizes)
        (self.preservesZeros, self.zeroOutput) = (preservesZeros, zeroOutput)
        (self.spoils, self.sign) = (spoils, sign)
        (self.operations, self.parameters, self.role) = (operations, parameters, role)
        (self.joinsBranches, self.hasWeights, self.isTraining) = (joinsBranches, hasWeights, isTraining)
        (self.linear, self.affine, self.normalisation) = (linear, affine, normalisation)
        self.trained =
            trained ?? (hasWeights ? .slots(0..<Int.max) : normalisation != nil ? .slots(1..<3) : .none)
        (self.evaluation, self.renaming, self.simplifications) = (evaluation, renaming, simplifications)
    }

    /// An operator of which nothing is known.
    private static let unknown = OperatorFacts()

    /// The operators of all families by name. A name stands in one family alone.
    package static let all: [String: OperatorFacts] = {
        let families = [
            activations, arithmetic, attention, control, conversions, convolutions, creation, functions,
            gathering, losses, matrixProducts, normalisation, pooling, quantisation, rearranging, recurrent,
            reductions, resampling, reshaping, signal, slicing,
        ]
        return Dictionary(uniqueKeysWithValues: families.joined().map { ($0.key, $0.value) })
    }()

    /// The facts of the operator with this name.
    ///
    /// They are ai.onnx's. An operator of another domain under the same name counts as the same; the engine computes none.
    static func of(_ operation: String) -> OperatorFacts { all[operation] ?? unknown }

    /// The same facts under several names.
    static func each(_ names: [String], _ facts: OperatorFacts) -> [String: OperatorFacts] {
        Dictionary(uniqueKeysWithValues: names.map { ($0, facts) })
    }
}

extension NodeProto {
    /// What is known of the node's operator.
    package var facts: OperatorFacts { OperatorFacts.of(opType) }
}

extension Vertex {
    /// What is known of the vertex's operator.
    package var facts: OperatorFacts { node.facts }
}

/// An output whose element type is asked for.
struct OutputTyping {
    let node: NodeProto
    /// The type in each input slot.
    let inputs: [ElementType?]
    /// The output's position.
    let position: Int

    /// The type in an input slot; `nil` where the slot is empty or its type is not known.
    func input(_ slot: Int) -> ElementType? { inputs.indices.contains(slot) ? inputs[slot] : nil }

    /// The type whose number an attribute gives.
    func attribute(_ name: String) -> ElementType? {
        node.attribute.first { $0.name == name }.flatMap { ElementType(rawValue: Int($0.i)) }
    }
}

/// What the shapes of an operator's outputs follow from.
enum ShapeSource: Sendable {
    /// The shapes of its inputs, and attributes.
    case inputShapes
    /// The elements in these input slots besides.
    case elements([Int])
    /// The elements of whatever it reads: it counts or chooses them.
    case data

    /// Whether the elements in an input slot decide the shape.
    func reads(_ slot: Int) -> Bool {
        switch self {
        case .inputShapes: false
        case .elements(let slots): slots.contains(slot)
        case .data: true
        }
    }
}

/// An input slot of a vertex, with what the file says of the others.
struct InputSlot {
    let graph: Graph
    let vertex: Vertex
    let slot: Int

    /// Whether an input is there.
    func hasInput(_ slot: Int) -> Bool { vertex.inputs.indices.contains(slot) && vertex.inputs[slot] != nil }

    /// The elements of an input that is an initialiser or a Constant node; `nil` otherwise.
    func constants(_ slot: Int) -> [Float]? {
        guard hasInput(slot), let value = vertex.inputs[slot] else { return nil }
        return try? graph.constantData(value)?.floats
    }

    /// A number among the attributes.
    func number(_ name: String, default fallback: Float) -> Float {
        vertex.node.attribute.first { $0.name == name }?.f ?? fallback
    }
}

/// Which inputs of an operator have to be zero for its output to be zero wherever it is a number.
enum ZeroOutput: Sendable {
    case unknown
    /// The first.
    case first
    /// One of the first two, whichever it is.
    case either
    /// All.
    case all

    /// Whether the output is zero, given which inputs are.
    func holds(_ isZero: [Bool]) -> Bool {
        switch self {
        case .unknown: false
        case .first: isZero.first ?? false
        case .either: isZero.prefix(2).contains(true)
        case .all: isZero.allSatisfy { $0 }
        }
    }
}

/// The input slots in which tensors of the file count as parameters.
///
/// Floating-point numbers do so in all slots, unless said otherwise; whole numbers where an operator has its (quantised) weights.
struct ParameterSlots: Sendable {
    /// The slots of floating-point parameters.
    var floatingPoint = 0..<Int.max
    /// The slots of whole numbers that are weights.
    var integer: Set<Int> = []
    /// The widest type that such weights have, in bits.
    var widestInteger = Int.max
}

/// Which operands of an operator training changes where they follow from initialisers alone.
enum TrainedOperands: Sendable {
    /// None.
    case none
    /// Those in these slots: weights, biases, scales and shifts.
    case slots(Range<Int>)
    /// What is added to data or put beside them: a bias, a table of positions, a token; no mask.
    case addends
    /// What data are multiplied by: a number for each position along one axis, and nothing larger, such as a table of sines.
    case factors
}

/// What an operator is in a drawing of the network: layers have weights or take the time, the rest joins, scales or
/// rearranges what they compute.
enum LayerRole: Sendable {
    /// A layer that multiplies matrices: a convolution, a product, attention, a recurrent layer.
    case product
    /// Another layer: normalisation, pooling.
    case layer
    /// A layer where it looks rows up in a table of weights.
    case lookUp
    /// No layer.
    case other

    /// Whether an operator of this role is a layer.
    var isLayer: Bool { self != .other }
}

/// Whether the consumers of an operator may read its first input in place of its first output.
enum Renaming: Sendable {
    case never
    /// It does nothing but rename.
    case always
    /// Where this holds of a vertex.
    case when(@Sendable (Rewriter, Vertex) throws -> Bool)

    /// Whether it holds of every vertex.
    var isUnconditional: Bool { if case .always = self { true } else { false } }
}
