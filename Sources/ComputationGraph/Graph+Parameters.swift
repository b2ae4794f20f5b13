internal import ONNX

extension Graph {
    /// The values that training could change: floating-point initialisers, but for those whose elements decide a shape.
    ///
    /// Another version of the parameters then leaves every shape as it is. The scales of a Resize, for example, are no
    /// parameters.
    public var parameters: Set<Int> {
        var decidesShape = [Bool](repeating: false, count: values.count)
        for vertex in order.reversed().map({ vertices[$0] }) {
            let isDecisive =
                !["Shape", "Size"].contains(vertex.operation)
                && vertex.outputs.contains { $0.map { decidesShape[$0] } ?? false }
            let operands = ElementRules.shapeOperands(vertex.operation)
            for (slot, input) in vertex.inputs.enumerated() {
                guard let input else { continue }
                if isDecisive || operands.contains(slot) || ElementRules.shapeFollowsElements(vertex.operation) {
                    decidesShape[input] = true
                }
            }
        }
        return Set(
            values.indices.filter {
                values[$0].constant != nil && values[$0].elementType.isFloatingPoint && !decidesShape[$0]
            })
    }
}
