internal import ONNX

/// Operators that move elements within a tensor, cut some off or put others around.
extension OperatorFacts {
    static let rearranging: [String: OperatorFacts] = [
        "DepthToSpace": OperatorFacts(
            preservesZeros: inFirst, operations: free, evaluation: singleNumber,
            simplifications: [.onceForAllSamples]),
        "Pad": OperatorFacts(
            shape: .elements([1, 3]), operations: free, evaluation: .first { try $0.padded() },
            simplifications: [
                .carrying { input in
                    let pads =
                        input.vertex.version < 11
                        ? try input.vertex.node.ints("pads") : try input.evaluation.integers(1)
                    guard let pads, pads.count == 2 * input.rank, !input.evaluation.isPresent(3) else {
                        return nil
                    }
                    return input.same(pads[input.axis] == 0 && pads[input.axis + input.rank] == 0)
                }
            ]),
        "ReverseSequence": OperatorFacts(operations: free),
        "SpaceToDepth": OperatorFacts(
            preservesZeros: inFirst, operations: free, evaluation: singleNumber,
            simplifications: [.onceForAllSamples]),
        "Trilu": OperatorFacts(
            sizes: likeFirst, preservesZeros: inFirst, operations: free, evaluation: zeroOfZero),
    ]

    private static let singleNumber = ConstantRule.first { evaluation in
        guard let data = try evaluation.constant(0) else { return nil }
        return data.single == nil ? nil : data
    }
}

extension Evaluation {
    /// Padding with the number that all elements are, or with nothing.
    fileprivate func padded() throws -> Constant? {
        guard let data = try constant(0) else { return nil }
        let pads = vertex.version < 11 ? try vertex.node.ints("pads") : try integers(1)
        if let pads, pads.allSatisfy({ $0 == 0 }) { return data }
        guard let number = data.single else { return nil }
        guard try vertex.node.string("mode", default: "constant") == "constant" else { return data }
        let filling: Double? =
            vertex.version < 11
            ? try Double(vertex.node.float("value", default: 0)) : isPresent(2) ? try constant(2)?.single : 0
        return filling == number ? data : nil
    }
}
