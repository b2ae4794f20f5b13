internal import ComputationGraph
internal import Datasets
internal import Engine
internal import ONNX
internal import Search

/// The real model of a mask, checked by running it.
struct MaterialisedModel {
    private let file: ModelFile

    /// Makes the model, and runs it on the data's first block: its outputs must be those of the masked model.
    ///
    /// - Throws: `MaterialisingError` when they are not.
    init(_ mask: Mask, workload: Workload) throws {
        let proto = try workload.graph.materialise(mask, shapes: workload.valueShapes)
        file = ModelFile(unchecked: proto, name: "the pruned model")
        try file.check()
        try check(mask, workload: workload)
    }

    func write(to path: String) throws { try file.write(to: path) }

    private func check(_ mask: Mask, workload: Workload) throws {
        let block = Array(workload.division.sharding.naturalBlocks(of: 0)[0])
        var inputs: [String: NumpyArray] = [:]
        for name in workload.dataset.inputNames {
            inputs[name] = try workload.dataset.gather(block, from: name)
        }
        let masked = try workload.network.run(inputs, mask: mask)
        let pruned = try Network(Graph(file)).run(inputs)
        for ((name, wanted), (_, given)) in zip(masked, pruned) where wanted.elementType.isFloatingPoint {
            let (left, right) = (try wanted.floats(), try given.floats())
            let largest = left.reduce(0) { max($0, $1.isFinite ? $1.magnitude : 0) }
            let worst = zip(left, right).reduce(Float(0)) { worst, pair in
                pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN)
                    ? worst : max(worst, (pair.0 - pair.1).magnitude)
            }
            guard left.count == right.count, worst <= 1e-4 * max(largest, 1e-20) else {
                throw MaterialisingError(output: name, difference: worst, largest: largest)
            }
        }
    }
}

/// The pruned model does not compute what the masked one does: a defect of Espalier.
struct MaterialisingError: Error, CustomStringConvertible {
    let output: String
    let difference: Float
    let largest: Float
    var description: String {
        "the pruned model's output '\(output)' differs from the masked model's by \(difference) (largest value "
            + "\(largest)); nothing was written. This is a defect: please report it with the model"
    }
}
