/// Changing every tensor of a model in place, wherever it is.
extension ModelProto {
    /// Calls `change` with every initialiser and every tensor in an attribute, subgraphs and functions included.
    mutating func updateTensors(
        _ change: (inout TensorProto) throws(ModelError) -> Void
    ) throws(ModelError) {
        try graph.updateTensors(change)
        for index in functions.indices {
            try functions[index].node.updateTensors(change)
        }
    }

    /// Whether any tensor, initialiser or attribute, satisfies `condition`.
    func containsTensor(where condition: (TensorProto) -> Bool) -> Bool {
        graph.containsTensor(where: condition)
            || functions.contains { $0.node.containsTensor(where: condition) }
    }

    /// Moves external data into the messages, or only checks it.
    /// - Parameters:
    ///   - folder: the model's folder.
    ///   - reading: false checks locations and sizes and leaves the data where it is.
    mutating func loadExternalData(folder: String?, reading: Bool) throws(ModelError) {
        guard containsTensor(where: { $0.dataLocation == .external }) else { return }
        guard let folder else {
            throw ModelError(.unreadable, "keeps weights in external data, and its folder is not known")
        }
        var reader = ExternalDataReader(folder: folder)
        try updateTensors { (tensor) throws(ModelError) in
            guard tensor.dataLocation == .external else { return }
            let name = tensor.name
            try locating(field: "tensor \(quoted(name))") { () throws(ModelError) in
                if reading {
                    try reader.load(&tensor)
                } else {
                    try ExternalData(tensor, byteCount: try tensor.layout().byteCount)
                        .withFile(inFolder: folder) { (_, _) in }
                }
            }
        }
    }
}

extension GraphProto {
    fileprivate mutating func updateTensors(
        _ change: (inout TensorProto) throws(ModelError) -> Void
    ) throws(ModelError) {
        for index in initializer.indices {
            try change(&initializer[index])
        }
        for index in sparseInitializer.indices {
            try sparseInitializer[index].updateTensors(change)
        }
        try node.updateTensors(change)
    }

    fileprivate func containsTensor(where condition: (TensorProto) -> Bool) -> Bool {
        initializer.contains(where: condition) || node.containsTensor(where: condition)
            || sparseInitializer.contains { condition($0.values) || condition($0.indices) }
    }
}

extension [NodeProto] {
    fileprivate mutating func updateTensors(
        _ change: (inout TensorProto) throws(ModelError) -> Void
    ) throws(ModelError) {
        for index in indices {
            for position in self[index].attribute.indices where self[index].attribute[position].holdsTensors {
                try self[index].attribute[position].updateTensors(change)
            }
        }
    }

    fileprivate func containsTensor(where condition: (TensorProto) -> Bool) -> Bool {
        contains { node in
            node.attribute.contains { attribute in
                (attribute.hasT && condition(attribute.t)) || attribute.tensors.contains(where: condition)
                    || (attribute.hasG && attribute.g.containsTensor(where: condition))
                    || attribute.graphs.contains { $0.containsTensor(where: condition) }
                    || condition(attribute.sparseTensor.values) || condition(attribute.sparseTensor.indices)
            }
        }
    }
}

extension AttributeProto {
    fileprivate var holdsTensors: Bool {
        hasT || hasG || hasSparseTensor || !tensors.isEmpty || !graphs.isEmpty
    }

    fileprivate mutating func updateTensors(
        _ change: (inout TensorProto) throws(ModelError) -> Void
    ) throws(ModelError) {
        if hasT { try change(&t) }
        for index in tensors.indices { try change(&tensors[index]) }
        if hasG { try g.updateTensors(change) }
        for index in graphs.indices { try graphs[index].updateTensors(change) }
        if hasSparseTensor { try sparseTensor.updateTensors(change) }
    }
}

extension SparseTensorProto {
    fileprivate mutating func updateTensors(
        _ change: (inout TensorProto) throws(ModelError) -> Void
    ) throws(ModelError) {
        try change(&values)
        try change(&indices)
    }
}

extension ModelFile {
    /// The files beside the model that its external data lies in, as paths, each once and sorted.
    ///
    /// Only a model that was read with `loadingExternalData: false` still knows them.
    public var externalDataFiles: [String] {
        get throws(ModelError) {
            guard let folder else { return [] }
            var locations: Set<String> = []
            var copy = model
            try copy.updateTensors { (tensor) throws(ModelError) in
                guard tensor.dataLocation == .external else { return }
                for entry in tensor.externalData where entry.key == "location" {
                    locations.insert(entry.value)
                }
            }
            return locations.sorted().map { "\(folder)/\($0)" }
        }
    }
}
