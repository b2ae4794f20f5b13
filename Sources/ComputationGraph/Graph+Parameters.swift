internal import ONNX

extension Graph {
    /// The values that training could change: floating-point initialisers, but for those whose elements decide a shape.
    ///
    /// Another version of the parameters then leaves every shape as it is. The scales of a Resize, for example, are no
    /// parameters.
    public var parameters: Set<Int> {
        var decidesShape = [Bool](repeating: false, count: values.count)
        for vertex in order.reversed().map({ vertices[$0] }) {
            let facts = vertex.facts
            let isDecisive =
                !facts.readsOnlyShape && vertex.outputs.contains { $0.map { decidesShape[$0] } ?? false }
            for (slot, input) in vertex.inputs.enumerated() {
                guard let input else { continue }
                if isDecisive || facts.shape.reads(slot) { decidesShape[input] = true }
            }
        }
        return Set(
            values.indices.filter {
                values[$0].constant != nil && values[$0].elementType.isFloatingPoint && !decidesShape[$0]
            })
    }
}
