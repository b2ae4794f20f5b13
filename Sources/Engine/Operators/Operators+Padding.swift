internal import ONNX
internal import Torch

private let pad = Operation("aten::constant_pad_nd")

/// Tensors with margins.
extension Operators {
    nonisolated(unsafe) static let padding: OperatorFamily = ["Pad": padded]

    /// What the margins hold.
    private enum Margin: String, CaseIterable {
        case constant
        case edge
        case reflect
        case wrap

        /// The position in `0..<size` that position `index`, which may be outside, is a copy of.
        func source(_ index: Int, size: Int) -> Int {
            func modulo(_ number: Int, _ period: Int) -> Int { ((number % period) + period) % period }
            switch self {
            case .constant, .edge: return min(max(index, 0), size - 1)
            case .wrap: return modulo(index, size)
            case .reflect:
                guard size > 1 else { return 0 }
                let place = modulo(index, 2 * (size - 1))
                return place < size ? place : 2 * (size - 1) - place
            }
        }
    }

    private static func padded(_ context: OperatorContext) throws -> Kernel {
        let margin = try context.choice("mode", default: Margin.constant)
        let pads = try context.integers("pads", until: 11, in: 1)
        let axes = try context.integers(in: 3)
        let attributeValue: Argument? =
            context.version < 11 ? .double(try context.number("value", default: 0)) : nil
        let constantValue: Argument? = try attributeValue ?? context.constant(2)?.scalarArgument()
        return { [attributeValue, constantValue] inputs in
            let input = try context.required(inputs, 0)
            guard let pads = try pads(inputs) else { throw context.error("pads are missing") }
            let axes =
                try axes(inputs)?.map { try context.axis($0, rank: input.rank) } ?? Array(0..<input.rank)
            guard pads.count == 2 * axes.count, input.rank > 0 || pads.isEmpty else {
                throw context.error("\(pads.count) pads do not fit \(axes.count) dimensions")
            }
            if let large = pads.first(where: { $0.magnitude > 1 << 31 }) {
                throw context.error("a margin of \(large) is too large")
            }
            var begin = [Int](repeating: 0, count: input.rank)
            var end = begin
            for (position, axis) in axes.enumerated() {
                (begin[axis], end[axis]) = (pads[position], pads[axes.count + position])
            }
            guard margin == .constant else { return [try extended(input, begin, end, margin, context)] }
            var value = constantValue ?? 0
            if constantValue == nil, attributeValue == nil, let given = context.optional(inputs, 2) {
                value = try given.scalarArgument()
            }
            // libtorch lists the pads from the last dimension to the first.
            let list = zip(begin, end).reversed().flatMap { [$0, $1] }
            return [try pad(.tensor(input), .ints(list), value)]
        }
    }

    /// The tensor with margins of copies; negative numbers crop.
    private static func extended(
        _ input: Tensor, _ begin: [Int], _ end: [Int], _ margin: Margin, _ context: OperatorContext
    ) throws -> Tensor {
        var result = input
        for axis in input.shape.indices where begin[axis] != 0 || end[axis] != 0 {
            let size = input.shape[axis]
            let positions = Array(-begin[axis]..<max(-begin[axis], size + end[axis]))
            guard size > 0 || positions.isEmpty else {
                throw context.error("dimension \(axis) is empty, so there is nothing to copy into its margin")
            }
            // Cropping comes after: the margin on one side may copy what is cropped on the other.
            result = try result.gathering(axis, Tensor(positions.map { margin.source($0, size: size) }))
        }
        return result
    }
}
