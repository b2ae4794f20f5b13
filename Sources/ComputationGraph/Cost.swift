/// What a model costs to hold and to run.
public struct Cost: Hashable, Sendable, Comparable, Codable {
    /// Elements of the floating-point initialisers that live layers read.
    public let parameters: Int
    /// Floating-point operations for one sample; a multiply-add counts 2.
    public let flops: Int

    /// A cost of so many parameters, and floating-point operations per sample.
    public init(parameters: Int, flops: Int) {
        self.parameters = parameters
        self.flops = flops
    }

    /// Cheaper is less: by operations, then by parameters.
    public static func < (left: Cost, right: Cost) -> Bool {
        (left.flops, left.parameters) < (right.flops, right.parameters)
    }
}
