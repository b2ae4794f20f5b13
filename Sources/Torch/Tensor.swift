internal import CTorch

/// A dense n-dimensional array on the CPU: a counted reference to libtorch's tensor.
///
/// Not `Sendable`: a tensor stays with the thread that computes.
public final class Tensor {
    /// The reference this object owns.
    let handle: OpaquePointer
    /// The size of every dimension.
    public let shape: [Int]
    /// The type of the elements.
    public let scalarType: ScalarType

    /// Takes over a reference that libtorch handed out.
    init(owning handle: OpaquePointer) throws(TorchError) {
        guard let type = ScalarType(rawValue: ct_type(handle)) else {
            let number = ct_type(handle)
            ct_release(handle)
            throw TorchError.refused(
                operation: "Tensor", reason: "libtorch's element type \(number) is not supported")
        }
        self.handle = handle
        scalarType = type
        let rank = Int(ct_rank(handle))
        shape =
            rank == 0
            ? []
            : [Int](unsafeUninitializedCapacity: rank) { buffer, count in
                buffer.withMemoryRebound(to: Int64.self) { ct_shape(handle, $0.baseAddress!) }
                count = rank
            }
    }

    deinit { ct_release(handle) }

    /// A tensor with a copy of `bytes`, the elements in C order.
    ///
    /// - Throws: `TorchError` when the number of bytes does not fit the shape.
    public convenience init(bytes: UnsafeRawBufferPointer, shape: [Int], scalarType: ScalarType)
        throws(TorchError)
    {
        var made: OpaquePointer?
        let dimensions = shape.map(Int64.init)
        let status = ct_make(
            scalarType.rawValue, dimensions, Int32(shape.count), bytes.baseAddress, bytes.count, &made)
        try check(status, "Tensor(bytes:shape:)")
        try self.init(owning: made!)
    }

    /// A tensor of the given elements, in C order; the shape is `[elements.count]` unless given.
    ///
    ///     let eye = try Tensor([1, 0, 0, 1] as [Float], shape: [2, 2])
    public convenience init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil)
        throws(TorchError)
    {
        var result: Result<OpaquePointer, TorchError>?
        elements.withUnsafeBytes { bytes in
            var made: OpaquePointer?
            let dimensions = (shape ?? [elements.count]).map(Int64.init)
            let status = ct_make(
                Element.scalarType.rawValue, dimensions, Int32(dimensions.count), bytes.baseAddress,
                bytes.count,
                &made)
            do throws(TorchError) {
                try check(status, "Tensor(_:shape:)")
                result = .success(made!)
            } catch { result = .failure(error) }
        }
        try self.init(owning: result!.get())
    }

    /// A zero-dimensional tensor.
    public convenience init<Element: TensorElement>(scalar: Element) throws(TorchError) {
        try self.init([scalar], shape: [])
    }

    /// The number of dimensions.
    public var rank: Int { shape.count }
    /// The distance of neighbours in every dimension, in elements.
    public var strides: [Int] {
        guard rank > 0 else { return [] }
        return [Int](unsafeUninitializedCapacity: rank) { buffer, count in
            buffer.withMemoryRebound(to: Int64.self) { ct_strides(handle, $0.baseAddress!) }
            count = rank
        }
    }
    /// The number of elements.
    public var count: Int { Int(ct_count(handle)) }
    /// The number of bytes that the elements take.
    public var byteCount: Int { ct_byte_count(handle) }
    /// Bytes of memory that the elements take: along expanded dimensions all are the same one.
    public var storedBytes: Int {
        zip(shape, strides).reduce(scalarType.byteSize) { $1.1 == 0 ? $0 : $0 * $1.0 }
    }
    /// Whether the elements lie in C order without gaps.
    public var isContiguous: Bool { ct_is_contiguous(handle, false) }
    /// Whether the elements lie with the channels innermost (NHWC) without gaps.
    public var isChannelsLast: Bool { rank == 4 && ct_is_contiguous(handle, true) }

    /// Whether no other tensor, here or in libtorch, holds this one's memory, and the elements fill it without gaps.
    public var isExclusive: Bool { ct_is_exclusive(handle) }
    /// Whether element type, shape and strides are the other's.
    public func hasLayout(of other: Tensor) -> Bool { ct_same_layout(handle, other.handle) }

    /// The elements' bytes in C order.
    public func bytes() throws(TorchError) -> [UInt8] {
        let size = byteCount
        var status = CT_OK
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            status = ct_copy_out(handle, buffer.baseAddress, size)
            count = status == CT_OK ? size : 0
        }
        try check(status, "bytes()")
        return bytes
    }

    /// The elements in C order, converted to `Element` when they are of another type.
    public func elements<Element: TensorElement>(as type: Element.Type = Element.self) throws(TorchError)
        -> [Element]
    {
        let source = scalarType == Element.scalarType ? self : try self.converted(to: Element.scalarType)
        let size = source.byteCount
        let number = source.count
        var status = CT_OK
        let elements = [Element](unsafeUninitializedCapacity: number) { buffer, count in
            status = ct_copy_out(source.handle, buffer.baseAddress, size)
            count = status == CT_OK ? number : 0
        }
        try check(status, "elements(as:)")
        return elements
    }

    /// The only element.
    public func item<Element: TensorElement>(as type: Element.Type = Element.self) throws(TorchError)
        -> Element
    {
        let all = try elements(as: type)
        guard all.count == 1 else {
            throw TorchError.refused(
                operation: "item(as:)", reason: "the tensor has \(all.count) elements, not one")
        }
        return all[0]
    }
}
