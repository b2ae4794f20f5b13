extension Tensor {
    private static let toType = Operation("aten::to.dtype")
    private static let detachOp = Operation("aten::detach")

    /// The same values in another element type; itself when it has that type already.
    public func converted(to type: ElementType) throws(TorchError) -> Tensor {
        type == elementType ? self : try Tensor.toType(.tensor(self), .type(type))
    }

    /// The same values, cut off from the record for backward.
    public func detached() throws(TorchError) -> Tensor { try Tensor.detachOp(.tensor(self)) }
}
