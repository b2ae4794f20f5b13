internal import ONNX

/// Operators that pass elements on: as another type, or as they are.
extension OperatorFacts {
    static let conversions: [String: OperatorFacts] = [
        "BitCast": OperatorFacts(
            outputType: { $0.attribute("to") }, operations: free),
        "Cast": OperatorFacts(
            outputType: { $0.attribute("to") }, sizes: likeFirst, sizeElements: elementsOfFirst,
            axes: alignedFirst, list: listOfFirst, zeroOutput: .first, sign: signOfFirst, operations: free,
            // Weights that are stored as 8-bit or smaller numbers are cast before they are used.
            parameters: ParameterSlots(integer: [0], widestInteger: 8),
            evaluation: .first { evaluation in
                let isTruth = evaluation.outputs[0].elementType == .bool
                return try evaluation.convertedInteger()
                    ?? evaluation.elementwise { _, count in
                        guard count == 1 else { return nil }
                        return isTruth ? { $0[0] == 0 ? 0 : 1 } : { $0[0] }
                    }
            }, simplifications: [.carryingEveryAxis, .onceForAllSamples]),
        "CastLike": OperatorFacts(
            outputType: typeOf(1), axes: alignedFirst, operations: free,
            evaluation: .unary(readsFirst: true) { _ in { $0 } }),
        "Dropout": OperatorFacts(
            outputType: firstAnd(.bool),
            // Its mask has the sizes of its input too.
            sizes: { tracing, output in tracing.input(output.vertex, 0) }, axes: alignedFirst,
            preservesZeros: inFirst,
            sign: signOfFirst, operations: free, isTraining: isTrainingDropout, affine: .identity,
            evaluation: .unary(readsFirst: true) { _ in { $0 } }, renaming: .when(isIdle),
            simplifications: [.carryingEveryAxis]),
        "Identity": OperatorFacts(
            sizes: likeFirst, sizeElements: elementsOfFirst, axes: alignedFirst, list: listOfFirst,
            preservesZeros: inFirst,
            zeroOutput: .first,
            sign: signOfFirst, operations: free, affine: .identity,
            evaluation: .first { try $0.convertedInteger() ?? $0.elementwise { _, _ in { $0[0] } } },
            renaming: .always),
    ]

    /// Dropout does nothing where its mask is not read and it is not in training mode.
    private static let isIdle: @Sendable (Rewriter, Vertex) throws -> Bool = { rewriter, vertex in
        if let mask = vertex.outputs.dropFirst().first ?? nil, rewriter.isRead(mask) { return false }
        if vertex.inputs.count > 2, let training = vertex.inputs[2] {
            return try rewriter.originals.constant(training)?.isZero ?? false
        }
        return true
    }

    /// Dropout in training mode sets elements to zero at random, unless its ratio is zero.
    private static let isTrainingDropout: @Sendable (Graph, Vertex) -> Bool = { graph, vertex in
        func constant(_ slot: Int) -> TensorData? {
            guard slot < vertex.inputs.count, let value = vertex.inputs[slot] else { return nil }
            return try? graph.constantData(value)
        }
        let isOn = (try? constant(2)?.bools.first) ?? false
        return isOn && (try? constant(1)?.floats.first) != 0
    }
}

extension Evaluation {
    /// Output 0, a whole number, of an operator that converts its only input, as far as that is one too.
    fileprivate func convertedInteger() throws -> Constant? {
        let type = outputs[0].elementType
        guard type.isInteger, let constant = try constant(0), constant.elementType.isInteger else {
            return nil
        }
        return constant.converted(to: type)
    }
}
