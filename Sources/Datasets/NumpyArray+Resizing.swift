extension NumpyArray {
    /// An array of another shape with the same number of axes: along each axis cut off, or its elements over again.
    ///
    /// Elements are those of this array, so that indices and token numbers stay in range; zeros where it has none.
    public func resized(to target: [Int]) -> NumpyArray {
        guard target != shape, target.count == shape.count else { return self }
        let width = elementType.byteWidth
        let count = target.reduce(1, *)
        guard !bytes.isEmpty, count > 0 else {
            return NumpyArray(unchecked: target, elementType, [UInt8](repeating: 0, count: count * width))
        }
        var strides = [Int](repeating: width, count: shape.count)
        for axis in shape.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        }
        var result: [UInt8] = []
        result.reserveCapacity(count * width)
        var position = [Int](repeating: 0, count: target.count)
        for _ in 0..<count {
            var start = 0
            for axis in position.indices { start += position[axis] % shape[axis] * strides[axis] }
            result.append(contentsOf: bytes[start..<start + width])
            for axis in position.indices.reversed() {
                position[axis] += 1
                if position[axis] < target[axis] { break }
                position[axis] = 0
            }
        }
        return NumpyArray(unchecked: target, elementType, result)
    }
}
