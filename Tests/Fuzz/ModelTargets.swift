import ComputationGraph
import Datasets
import Engine
import Foundation
import ONNX
import Pruning
import Synchronization

/// Whole commands on small models that the bytes describe, from the file to what would be printed.
extension Targets {
    /// `inspect --candidates all --units edges,layers,channels,heads,neurons`.
    static func inspect(_ bytes: Data) -> Int32 {
        guard let path = written(GeneratedModel(bytes)) else { return 0 }
        let units = UnitSelection(kinds: [.edge, .layer, .channels, .heads, .neurons])
        guard let summary = try? ModelSummary(model: path, selection: .all, units: units) else { return 0 }
        _ = try? JSONEncoder().encode(summary)
        return 0
    }

    /// `evaluate` of the unpruned model and of one removal, and the file of that removal. A file that computes something
    /// else than the masked model is a defect.
    static func evaluate(_ bytes: Data) -> Int32 {
        precondition(evaluates, "an image through a ReLU is not evaluated: this target tries nothing")
        _ = isEvaluated(bytes)
        return 0
    }

    /// Whether a model that has nothing wrong is evaluated to the end.
    private static let evaluates = isEvaluated(Data([1, 0, 0, 0]))

    /// Whether a model got to its pruned file.
    private static func isEvaluated(_ bytes: Data) -> Bool {
        let made = GeneratedModel(bytes)
        guard let path = written(made), let data = data(for: made) else { return false }
        let ended = DispatchSemaphore(value: 0)
        let isDone = Mutex(false)
        Task.detached {
            defer { ended.signal() }
            var mask = Mask.empty
            do {
                let workload = try Workload(
                    model: path, options: MeasurementOptions(data: data, memory: 2 << 30))
                let candidates = try Candidates(of: workload.graph, selection: .all).representatives
                if !candidates.isEmpty {
                    mask = Mask([candidates[made.choice % candidates.count]])
                    _ = try await Evaluation(of: mask, in: workload).text
                    try workload.writePruned(mask, to: path + ".pruned")
                }
                isDone.withLock { $0 = true }
            } catch {
                // What is wrong with the file is told; that a file is not what was measured is nobody's fault but ours.
                if isDefect(error), isWellPosed(made, mask, data) { fatalError("\(error)") }
            }
        }
        ended.wait()
        return isDone.withLock { $0 }
    }

    /// A pruned file that gives other numbers, or none at all. Where it divides by a zero that rounding made something
    /// else in the masked model, nothing is wrong.
    private static func isDefect(_ error: any Error) -> Bool {
        "\(type(of: error))" == "MaterialisingError" && !"\(error)".contains("by inf")
    }

    /// Whether rounding and the sign of zeros do not decide what the masked model gives: all its values are finite, and
    /// inputs that differ by a millionth, each another way, give outputs that differ by little.
    private static func isWellPosed(_ made: GeneratedModel, _ mask: Mask, _ data: String) -> Bool {
        do {
            let network = try Network(Graph(ModelFile(unchecked: made.modelOfAllValues)))
            let x = try NumpyArchive(contentsOf: data).array(named: "x")
            let values = try network.run(["x": x], mask: mask).map { try $1.floats() }
            guard values.joined().allSatisfy(\.isFinite) else { return false }
            guard x.elementType == .float32 else { return true }
            let numbers = try x.floats().enumerated().map { index, number in
                number + Float(index * 7919 % 13 - 6) * 1e-6
            }
            let moved = try NumpyArray(shape: x.shape, values: numbers)
            let others = try network.run(["x": moved], mask: mask).map { try $1.floats() }
            return zip(values, others).allSatisfy { left, right in
                let largest = left.reduce(0) { max($0, $1.magnitude) }
                return zip(left, right).allSatisfy { ($0 - $1).magnitude <= 1e-4 * largest }
            }
        } catch { return true }
    }

    private static func written(_ made: GeneratedModel) -> String? {
        let path = "\(folder)/model.onnx"
        guard let bytes = try? ModelFile(unchecked: made.model).serialized(),
            (try? bytes.write(to: URL(filePath: path))) != nil
        else { return nil }
        return path
    }

    /// Six samples of what a model reads, with labels or without.
    private static func data(for made: GeneratedModel) -> String? {
        let path = "\(folder)/\(made.input)-\(made.isLabelled).npz"
        guard !FileManager.default.fileExists(atPath: path) else { return path }
        let samples = 6
        let total = samples * made.input.sizes.reduce(1, *)
        let numbers = (0..<total).map { Float($0 * 37 % 101) / 50 - 1 }
        let shape = [samples] + made.input.sizes
        do {
            let x =
                made.input == .tokens
                ? try NumpyArray(shape: shape, values: (0..<total).map { Int64($0 % 4) })
                : try NumpyArray(shape: shape, values: numbers)
            let labels = try NumpyArray(shape: [samples], values: (0..<samples).map { Int64($0 % 4) })
            try NumpyArchive.write([("x", x)] + (made.isLabelled ? [("labels", labels)] : []), to: path)
        } catch { fatalError("\(error)") }
        return path
    }
}
