internal import CTorch

extension Tensor {
    private static let toType = Operation("aten::to.dtype")
    private static let detachOp = Operation("aten::detach")

    /// The same values in another element type; itself when it has that type already.
    public func converted(to type: ScalarType) throws(TorchError) -> Tensor {
        type == scalarType ? self : try Tensor.toType(.tensor(self), .type(type))
    }

    /// The same values, cut off from the record for backward.
    public func detached() throws(TorchError) -> Tensor { try Tensor.detachOp(.tensor(self)) }
}

extension Tensor {
    /// Another reference to the same tensor.
    public convenience init(sharing other: Tensor) throws(TorchError) {
        ct_retain(other.handle)
        try self.init(owning: other.handle)
    }
}
