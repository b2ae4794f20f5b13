public import Variants
public import Work

/// The weights that a recovery made for a mask: those that its expansions start from, and that its file gets.
///
/// The bytes are a version, the mask's text, the number of parameters that are other ones than the model's, for each its value,
/// the number of its elements and these, float32, then the number of biases of layers that had none, and for each the layer's
/// vertex, the channel axis counted from the end, and its elements.
public struct RecoveredWeights: Hashable, Sendable {
    /// A parameter with other numbers than the model's.
    public struct Parameter: Hashable, Sendable {
        /// The graph's value.
        public let value: Int
        /// In C order.
        public let elements: [Float]

        /// Other numbers for a parameter.
        public init(value: Int, elements: [Float]) { (self.value, self.elements) = (value, elements) }
    }

    /// The bias of a layer that had none.
    public struct Bias: Hashable, Sendable {
        /// The layer's vertex.
        public let vertex: Int
        /// Where the output has its channels, counted from its last axis.
        public let channelAxisFromEnd: Int
        /// One number per channel.
        public let elements: [Float]

        /// A bias for a layer.
        public init(vertex: Int, channelAxisFromEnd: Int, elements: [Float]) {
            (self.vertex, self.channelAxisFromEnd, self.elements) = (vertex, channelAxisFromEnd, elements)
        }
    }

    private static let version: UInt8 = 1

    /// What they were made for.
    public let mask: Mask
    /// Ascending by value.
    public let parameters: [Parameter]
    /// Ascending by vertex.
    public let biases: [Bias]

    /// Weights that were made for a mask.
    public init(_ mask: Mask, parameters: [Parameter], biases: [Bias]) {
        self.mask = mask
        self.parameters = parameters.sorted { $0.value < $1.value }
        self.biases = biases.sorted { $0.vertex < $1.vertex }
    }

    /// The canonical bytes.
    public var bytes: [UInt8] {
        let elements = (parameters.map(\.elements) + biases.map(\.elements)).reduce(0) { $0 + $1.count }
        var writer = ByteWriter(capacity: 4 * elements + 12 * (parameters.count + biases.count) + 256)
        writer.write(RecoveredWeights.version)
        writer.write(mask.description)
        writer.write(parameters.count)
        for parameter in parameters {
            writer.write(parameter.value)
            writer.write(parameter.elements.count)
            writer.write(raw: parameter.elements)
        }
        writer.write(biases.count)
        for bias in biases {
            writer.write(bias.vertex)
            writer.write(bias.channelAxisFromEnd)
            writer.write(bias.elements.count)
            writer.write(raw: bias.elements)
        }
        return writer.bytes
    }

    /// The most bytes that so many elements in so many tensors take.
    ///
    /// - Parameter maskText: the bytes of the longest mask's text.
    public static func mostBytes(elements: Int, tensors: Int, maskText: Int) -> Int {
        4 * elements + 12 * tensors + maskText + 64
    }

    /// Reads the bytes.
    ///
    /// - Throws: `WorkMismatch` for bytes that are none.
    public init(_ bytes: [UInt8]) throws(WorkMismatch) {
        var reader = ByteReader(bytes)
        guard try reader.byte() == RecoveredWeights.version else {
            throw WorkMismatch("has weights of another version")
        }
        guard let mask = Mask(try reader.text()) else { throw WorkMismatch("has weights of no mask") }
        var parameters: [Parameter] = []
        for _ in 0..<(try reader.number()) {
            let value = try reader.number()
            parameters.append(Parameter(value: value, elements: try reader.floats(try reader.number())))
        }
        var biases: [Bias] = []
        for _ in 0..<(try reader.number()) {
            let (vertex, axis) = (try reader.number(), try reader.number())
            biases.append(
                Bias(
                    vertex: vertex, channelAxisFromEnd: axis,
                    elements: try reader.floats(try reader.number())))
        }
        try reader.finish()
        self.init(mask, parameters: parameters, biases: biases)
    }
}
