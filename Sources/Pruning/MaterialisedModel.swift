internal import ComputationGraph
internal import Datasets
internal import Engine
internal import ONNX
internal import Search

/// The real model of a mask, checked by running it.
struct MaterialisedModel {
    private let file: ModelFile

    /// Makes the model, and runs it on the data's first block and at other sizes of the symbolic dimensions: its outputs
    /// must be those of the masked model.
    ///
    /// - Throws: `NonFiniteError` when the masked model's outputs are not finite where the unpruned model's are,
    ///   `MaterialisingError` when the outputs are others than the masked model's.
    init(_ mask: Mask, workload: Workload) throws {
        let knowledge = try workload.network.sizeKnowledge(for: workload.dataset)
        let check = try MaterialisedCheck(mask, workload: workload, knowledge: knowledge)
        let made = try Self.file(mask, knowledge.shapes, workload: workload)
        do {
            try check(made)
            file = made
        } catch let error as MaterialisingError {
            // What the runs had in common was chance: without relying on it, the file is larger and right.
            let cautious = try Self.file(mask, knowledge.cautiousShapes, workload: workload)
            guard error.isAtOtherSizes, (try? check(cautious)) != nil else { throw error }
            file = cautious
        }
    }

    private static func file(_ mask: Mask, _ shapes: ValueShapes, workload: Workload) throws -> ModelFile {
        let proto = try workload.graph.materialise(mask, shapes: shapes, means: workload.means)
        let file = ModelFile(unchecked: proto, name: "the pruned model")
        try file.check()
        return file
    }

    func write(to path: String) throws { try file.write(to: path) }
}
