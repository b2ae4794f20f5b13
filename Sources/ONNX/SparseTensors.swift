import FoundationEssentials

extension TensorData {
    /// A sparse tensor's elements, with zeros in between.
    ///
    /// Source: the comments on `SparseTensorProto` in ONNX's onnx.proto.
    /// - Parameters:
    ///   - sparse: values [NNZ] and int64 positions, linear [NNZ] or by coordinate [NNZ, rank].
    ///   - budget: bytes that dense tensors may still take; the result's are subtracted.
    /// - Throws: ``ModelError`` if a position is outside the shape, positions do not ascend, or the budget is spent.
    init(_ sparse: SparseTensorProto, budget: inout Int) throws(ModelError) {
        let values = try TensorData(sparse.values)
        let indices = try TensorData(sparse.indices)
        let type = values.elementType
        guard type.bitWidth >= 8, values.shape.count == 1 else {
            throw ModelError(.unsupported, "has sparse values of type \(type.name) and shape \(values.shape)")
        }
        let count = try elementCount(ofDims: sparse.dims)
        let shape = sparse.dims.map { Int($0) }
        let nonzeros = values.count
        guard indices.elementType == .int64,
            indices.shape == [nonzeros] || indices.shape == [nonzeros, shape.count]
        else {
            throw ModelError(
                .malformed,
                "has positions of type \(indices.elementType.name) and shape \(indices.shape) for \(nonzeros) values"
            )
        }
        guard let size = type.byteCount(ofElements: count), size <= budget else {
            throw ModelError(
                .unsupported, "is too sparse: shape \(shape) would take far more memory than the file")
        }
        budget -= size

        let width = indices.shape.count == 1 ? 1 : shape.count
        let limits = indices.shape.count == 1 ? [count] : shape
        let coordinates = try indices.int64s
        var positions: [Int] = []
        positions.reserveCapacity(nonzeros)
        for entry in 0..<nonzeros {
            var position = 0
            for axis in 0..<width {
                let coordinate = coordinates[entry * width + axis]
                guard coordinate >= 0, coordinate < limits[axis] else {
                    throw ModelError(.malformed, "has a value at \(coordinate), outside its shape \(shape)")
                }
                position = position * limits[axis] + Int(coordinate)
            }
            if let last = positions.last, last >= position {
                throw ModelError(.malformed, "has positions that do not ascend")
            }
            positions.append(position)
        }

        var dense = Data(count: size)
        let width8 = type.byteSize
        dense.withUnsafeMutableBytes { (target: UnsafeMutableRawBufferPointer) in
            values.bytes.withUnsafeBytes { (source: UnsafeRawBufferPointer) in
                for (entry, position) in positions.enumerated() {
                    target[(position * width8)..<((position + 1) * width8)].copyBytes(
                        from: source[(entry * width8)..<((entry + 1) * width8)])
                }
            }
        }
        self.init(unchecked: type, shape: shape, bytes: dense)
    }
}

extension ModelProto {
    /// Makes sparse initialisers dense initialisers, and a Constant's `sparse_value` its `value`.
    /// - Throws: ``ModelError`` if one is malformed, or so sparse that a small file would fill the memory.
    mutating func densifySparseTensors() throws(ModelError) {
        guard graph.hasSparseTensors || functions.contains(where: { $0.node.hasSparseTensors }) else {
            return
        }
        var stored = 0
        try updateTensors { (tensor) in stored += tensor.rawData.count + 8 * tensor.int64Data.count }
        // Pruned weights keep a percent or so; a thousandth is generous.
        var budget = max(64 << 20, min(stored, Int.max / 1000) * 1000)
        try graph.densify(&budget)
        for index in functions.indices {
            try functions[index].node.densify(&budget)
        }
    }
}

extension GraphProto {
    fileprivate var hasSparseTensors: Bool { !sparseInitializer.isEmpty || node.hasSparseTensors }

    fileprivate mutating func densify(_ budget: inout Int) throws(ModelError) {
        for sparse in sparseInitializer {
            let name = sparse.values.name
            let data = try locating(field: "sparse initializer \(quoted(name))") { () throws(ModelError) in
                try TensorData(sparse, budget: &budget)
            }
            initializer.append(TensorProto(name: name, data))
        }
        sparseInitializer = []
        try node.densify(&budget)
    }
}

extension [NodeProto] {
    fileprivate var hasSparseTensors: Bool { contains(where: \.hasSparseTensors) }

    fileprivate mutating func densify(_ budget: inout Int) throws(ModelError) {
        for index in indices where self[index].hasSparseTensors {
            try self[index].densify(&budget)
        }
    }
}

extension NodeProto {
    fileprivate var hasSparseTensors: Bool {
        attribute.contains {
            $0.hasSparseTensor || $0.g.hasSparseTensors || $0.graphs.contains(where: \.hasSparseTensors)
        }
    }

    fileprivate mutating func densify(_ budget: inout Int) throws(ModelError) {
        for index in attribute.indices {
            if opType == "Constant", attribute[index].name == "sparse_value", attribute[index].hasSparseTensor
            {
                let data = try locating(node: .init(self), field: "attribute \"sparse_value\"") {
                    () throws(ModelError) in
                    try TensorData(attribute[index].sparseTensor, budget: &budget)
                }
                attribute[index] = AttributeProto(name: "value", tensor: TensorProto(name: "", data))
            }
            if attribute[index].hasG { try attribute[index].g.densify(&budget) }
            for position in attribute[index].graphs.indices {
                try attribute[index].graphs[position].densify(&budget)
            }
        }
    }
}
