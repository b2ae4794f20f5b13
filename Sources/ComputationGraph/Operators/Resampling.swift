internal import ONNX

/// Operators that read an image at other positions.
extension OperatorFacts {
    static let resampling: [String: OperatorFacts] = [
        "AffineGrid": OperatorFacts(shape: .elements([1])),
        "CenterCropPad": OperatorFacts(shape: .elements([1])),
        "GridSample": OperatorFacts(),
        "Resize": resize,
        "Upsample": resize,
    ]

    private static let resize = OperatorFacts(
        shape: .elements([1, 2, 3]), axes: pooledAxes,
        slicing: { node in node.resize(listedIn: 3) { _, _ in false } },
        // Scales are no parameters.
        parameters: ParameterSlots(floatingPoint: 0..<1), role: .layer,
        evaluation: .first { try $0.resized() },
        simplifications: [
            .carrying { input in
                // Sizes, where given, name the axis's own size.
                let hasSizes = input.evaluation.isPresent(3) || input.vertex.node.hasAttribute("axes")
                return input.same(
                    input.axis == 1 && input.target.count == input.rank
                        && input.target[1] == input.operands[0]?.extents?[1] && !hasSizes)
            }
        ])
}

extension Evaluation {
    /// Resizing of a value that is the same all over each of the axes that change.
    fileprivate func resized() throws -> Constant? {
        guard let data = try constant(0), data.rank >= 3, data.shape.dropFirst(2).allSatisfy({ $0 == 1 })
        else {
            return nil
        }
        let extrapolates =
            try vertex.node.string("coordinate_transformation_mode", default: "") == "tf_crop_and_resize"
        guard let before = inputs[0].extents, let after = outputs[0].extents, before.count == after.count
        else {
            return nil
        }
        let isSpatial = data.shape.indices.allSatisfy { data.shape[$0] == 1 || before[$0] == after[$0] }
        return isSpatial && !extrapolates ? data : nil
    }
}
