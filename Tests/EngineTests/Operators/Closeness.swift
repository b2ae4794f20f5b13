import Testing
import Torch

/// Whether all elements differ by less than `tolerance`.
func isClose(_ tensor: Tensor, _ expected: [Float], tolerance: Float = 1e-5) throws -> Bool {
    let elements = try tensor.elements(as: Float.self)
    return elements.count == expected.count
        && zip(elements, expected).allSatisfy { abs($0 - $1) < tolerance || $0 == $1 }
}

/// The numbers `range`, each put through `transform`, as a tensor.
func counted(
    _ range: Range<Int>, shape: [Int], _ transform: (Float) -> Float = { $0 }
) throws -> Tensor {
    try Tensor(range.map { transform(Float($0)) }, shape: shape)
}
