internal import ONNX
internal import Torch

/// Shapes as data, and tensors of a given shape.
extension Operators {
    nonisolated(unsafe) static let shapes = OperatorFamily(
        [
            "Constant": constant,
            "ConstantOfShape": constantOfShape,
            "EyeLike": identityMatrix,
            "Range": range,
            "Shape": shape,
            "Size": { context in context.map { try Tensor(scalar: $0.count) } },
        ],
        traits: [
            "Shape": .init(since: 1),
            "Size": .init(since: 1),
        ])

    private static func constant(_ context: OperatorContext) throws -> Kernel {
        let tensor = try constantTensor(context)
        return { _ in [tensor] }
    }

    private static func constantTensor(_ context: OperatorContext) throws -> Tensor {
        let node = context.node
        if let data = try node.tensor("value", default: nil) { return try Tensor(data) }
        if let number = try node.float("value_float", default: nil) { return try Tensor(scalar: number) }
        if let numbers = try node.floats("value_floats", default: nil) { return try Tensor(numbers) }
        if let number = try node.int("value_int", default: nil) { return try Tensor(scalar: number) }
        if let numbers = try node.ints("value_ints", default: nil) { return try Tensor(numbers) }
        if node.hasAttribute("value_string") || node.hasAttribute("value_strings") {
            throw context.unsupported("of strings")
        }
        throw context.error("it has no value")
    }

    private static func constantOfShape(_ context: OperatorContext) throws -> Kernel {
        let value = try context.node.tensor("value", default: nil).map { try Tensor($0) }
        if let value, value.count != 1 {
            throw context.error("value has \(value.count) elements, not one")
        }
        let filling: Argument = try value?.scalarArgument() ?? 0
        let type = value?.scalarType ?? .float32
        let shape = try context.integers(in: 0)
        return { inputs in
            guard let shape = try shape(inputs) else { throw context.error("the shape is missing") }
            // One number stands for many of them, which take no memory then.
            guard shape.allSatisfy({ $0 > 0 }),
                shape.reduce(1, { $0.multipliedReportingOverflow(by: $1).partialValue }) > 1 << 16
            else {
                return [try Tensor.constant(filling, shape: shape, type: type)]
            }
            return [
                try Tensor.constant(filling, shape: shape.map { _ in 1 }, type: type).expanded(shape)
            ]
        }
    }

    private static func identityMatrix(_ context: OperatorContext) throws -> Kernel {
        let diagonal = try context.node.int("k", default: 0)
        let type = try context.node.int("dtype", default: nil).flatMap { code in
            ScalarType(holding: try context.elementType(code: code))
        }
        return context.map { input in
            guard input.rank == 2 else {
                throw context.error("its input has \(input.rank) dimensions, not two")
            }
            let (rows, columns) = (input.shape[0], input.shape[1])
            var elements = [Int32](repeating: 0, count: rows * columns)
            for row in 0..<rows where (0..<columns).contains(row &+ diagonal) {
                elements[row * columns + row + diagonal] = 1
            }
            return try Tensor(elements, shape: [rows, columns]).converted(to: type ?? input.scalarType)
        }
    }

    /// More numbers than this are a mistake rather than a range.
    private static let longestRange = 1e9

    /// `max(ceil((limit - start) / delta), 0)` numbers; each is computed from its place, so that no error adds up.
    private static func range(_ context: OperatorContext) throws -> Kernel {
        { inputs in
            let bounds = try (0..<3).map { try context.required(inputs, $0) }
            let type = bounds[0].scalarType
            if type.isFloatingPoint {
                let (start, limit, delta) = (
                    try bounds[0].item(as: Float.self), try bounds[1].item(as: Float.self),
                    try bounds[2].item(as: Float.self)
                )
                let count = ((Double(limit) - Double(start)) / Double(delta)).rounded(.up)
                guard count < longestRange else {
                    throw context.error("a range of \(count) numbers is too long")
                }
                return [
                    try Tensor((0..<Int(max(count, 0))).map { start + Float($0) * delta }).converted(to: type)
                ]
            }
            let (start, limit, delta) = (
                try bounds[0].item(as: Int.self), try bounds[1].item(as: Int.self),
                try bounds[2].item(as: Int.self)
            )
            guard delta != 0 else { throw context.error("its delta is 0") }
            guard (Double(limit) - Double(start)) / Double(delta) < longestRange else {
                throw context.error("a range from \(start) to \(limit) is too long")
            }
            return [try Tensor(Array(stride(from: start, to: limit, by: delta))).converted(to: type)]
        }
    }

    private static func shape(_ context: OperatorContext) throws -> Kernel {
        let start = try context.node.int("start", default: 0)
        let end = try context.node.int("end", default: Int.max)
        return context.map { input in
            // Negative positions count from the end; what is outside is cut off.
            func position(_ given: Int) -> Int {
                min(max(given < 0 ? given + input.rank : given, 0), input.rank)
            }
            let (first, last) = (position(start), position(end))
            return try Tensor(Array(input.shape[first..<max(first, last)]))
        }
    }
}
