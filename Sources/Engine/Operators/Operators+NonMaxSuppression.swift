internal import ONNX
internal import Torch

/// Boxes thinned out to those that overlap no better one.
extension Operators {
    nonisolated(unsafe) static let suppression: OperatorFamily = ["NonMaxSuppression": suppress]

    /// Inputs: boxes [batch, N, 4], scores [batch, classes, N], the largest number of boxes per class, the overlap
    /// (intersection over union) and the score to pass. Output: triples of batch, class and box.
    private static func suppress(_ context: OperatorContext) throws -> Kernel {
        let isCentred = try context.flag("center_point_box", default: false)
        return { inputs in
            let (boxes, scores) = (try context.required(inputs, 0), try context.required(inputs, 1))
            guard boxes.rank == 3, scores.rank == 3, boxes.shape[2] == 4, boxes.shape[0] == scores.shape[0],
                boxes.shape[1] == scores.shape[2]
            else {
                throw context.error(
                    "boxes of shape \(boxes.shape) do not fit scores of shape \(scores.shape)")
            }
            let limit = try context.optional(inputs, 2)?.elements(as: Int.self).first ?? 0
            let overlap = try context.optional(inputs, 3)?.elements(as: Float.self).first ?? 0
            let threshold = try context.optional(inputs, 4)?.elements(as: Float.self).first ?? -.infinity
            let corners = try boxes.elements(as: Float.self)
            let numbers = try scores.elements(as: Float.self)
            let (count, classes) = (boxes.shape[1], scores.shape[1])
            var triples: [Int] = []
            for batch in 0..<boxes.shape[0] {
                let candidates = (0..<count).map { index in
                    Box(corners[((batch * count + index) * 4)..<((batch * count + index + 1) * 4)], isCentred)
                }
                for label in 0..<classes {
                    let start = (batch * classes + label) * count
                    let kept = Box.best(
                        candidates, scores: numbers[start..<(start + count)], limit: limit, overlap: overlap,
                        threshold: threshold)
                    for index in kept { triples += [batch, label, index] }
                }
            }
            return [try Tensor(triples, shape: [triples.count / 3, 3])]
        }
    }
}

/// A rectangle.
private struct Box {
    private let lowX, lowY, highX, highY: Float

    /// Reads y₁, x₁, y₂, x₂ of two opposite corners, or the centre's x and y, width and height.
    init(_ numbers: ArraySlice<Float>, _ isCentred: Bool) {
        let (a, b, c, d) = (
            numbers[numbers.startIndex], numbers[numbers.startIndex + 1], numbers[numbers.startIndex + 2],
            numbers[numbers.startIndex + 3]
        )
        if isCentred {
            (lowX, highX, lowY, highY) = (a - c / 2, a + c / 2, b - d / 2, b + d / 2)
        } else {
            (lowX, highX, lowY, highY) = (min(b, d), max(b, d), min(a, c), max(a, c))
        }
    }

    private var area: Float { (highX - lowX) * (highY - lowY) }

    /// Intersection over union.
    private func overlap(with other: Box) -> Float {
        let width = max(0, min(highX, other.highX) - max(lowX, other.lowX))
        let height = max(0, min(highY, other.highY) - max(lowY, other.lowY))
        let shared = width * height
        return shared == 0 ? 0 : shared / (area + other.area - shared)
    }

    /// The boxes that pass the threshold and overlap no kept one too much, best first, at most `limit`.
    static func best(
        _ boxes: [Box], scores: ArraySlice<Float>, limit: Int, overlap: Float, threshold: Float
    ) -> [Int] {
        let scores = Array(scores)
        let order = boxes.indices.filter { scores[$0] > threshold }
            .sorted { (scores[$1], $0) < (scores[$0], $1) }
        var kept: [Int] = []
        for index in order {
            guard kept.count < limit else { break }
            if kept.allSatisfy({ boxes[index].overlap(with: boxes[$0]) <= overlap }) { kept.append(index) }
        }
        return kept
    }
}
