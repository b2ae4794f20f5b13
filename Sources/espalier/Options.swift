public import ArgumentParser
public import ComputationGraph
internal import Foundation
internal import Logging
internal import Pruning

/// The model argument that every command begins with.
struct ModelArgument: ParsableArguments {
    @Argument(
        help: "The ONNX model: a path, or example:NAME for a bundled one (digits-resnet, digits-vit).",
        completion: .file(extensions: ["onnx"]))
    var model: String
}

/// The options that say what is measured on which data.
struct DataOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The data: an .npz file with one array per model input, by name, and 'labels' (int64), or 'targets'.",
            discussion:
                "For a bundled example: example:NAME/calibration (the default) or example:NAME/held-out."),
        completion: .file(extensions: ["npz"]))
    var data: String?

    @Option(name: .long, help: "Use only the first N samples.")
    var samples: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Samples that are computed at once. (default: 64, or fewer to fit the memory budget)",
            valueName: "B"))
    var blockSize: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Parts that the data is divided into; a worker holds whole parts. Decides the order of summation.",
            valueName: "S"))
    var shards = 1

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Memory that each process that computes may take, e.g. 512M or 4G. (default: its part of three quarters of the "
                + "machine's)", valueName: "bytes"))
    var memory: ByteCount?

    func validate() throws {
        if let samples, samples < 1 { throw ValidationError("--samples must be at least 1") }
        if let blockSize, blockSize < 1 { throw ValidationError("--block-size must be at least 1") }
        if shards < 1 { throw ValidationError("--shards must be at least 1") }
    }

}

/// A command that measures a model.
///
/// Its option groups stand side by side, as those of all commands: the parser looks at a group within a group many times over.
protocol MeasuringCommand {
    var argument: ModelArgument { get }
    var data: DataOptions { get }
    var loss: LossOptions { get }
}

extension MeasuringCommand {
    /// The files that these arguments name, and others that are read.
    func given(models: [String?] = [], data others: [String?] = [], others files: [String?] = [])
        -> GivenFiles
    {
        GivenFiles(
            models: [argument.model] + models, data: [data.data ?? argument.model] + others, others: files)
    }

    /// What is measured; an example brings its own data.
    ///
    /// - Parameter workers: the worker processes on this machine; 0 for this process alone.
    func measurement(workers: Int = 0) throws -> MeasurementOptions {
        guard let file = data.data ?? ModelSource.defaultData(for: argument.model) else {
            throw ValidationError("--data is needed: an .npz file with one array per model input")
        }
        // This process holds the model too.
        return MeasurementOptions(
            data: file, samples: data.samples, blockSize: data.blockSize, shards: data.shards,
            loss: try loss.request(), memory: data.memory?.bytes, processes: workers + 1)
    }
}

/// The edges to remove.
struct RemovalOptions: ParsableArguments {
    @Option(
        name: .customLong("remove"),
        help: ArgumentHelp(
            "What to remove: an edge NODE:SLOT or a layer layer@NODE:SLOT, with what is read instead behind it (=mean, "
                + "=bypass), or channels, heads or neurons as path.csv writes them; may be given several times.",
            valueName: "unit"),
        transform: { text in
            guard let unit = ComputationGraph.Unit(argument: text) else {
                throw ValidationError(
                    "a unit is NODE:SLOT, layer@NODE:SLOT, or channels@NODE:SLOT[AXIS:POSITIONS] as path.csv and the JSON of "
                        + "inspect write it (tables tell only how many positions there are)")
            }
            return unit
        })
    var units: [ComputationGraph.Unit] = []

    var mask: Mask { Mask(units) }
}

/// Where the machine-readable result goes.
struct JSONOption: ParsableArguments {
    @Option(
        name: .customLong("json"),
        help: ArgumentHelp(
            "Write the result as JSON to a file, or - for standard output.", valueName: "file"),
        completion: .file())
    var path: String?

    /// Checks before any work that the result can be written, beside other files, and takes the place of none that is read.
    func checkWritable(beside others: [String?] = [], given: GivenFiles) throws {
        try given.check([path] + others)
    }

    /// Whether standard output is taken by JSON.
    var takesStandardOutput: Bool { path == "-" }
}

/// How much is told on standard error about workers and connections.
struct LogOption: ParsableArguments {
    @Option(
        name: .long,
        help:
            "What to tell about workers and connections: trace, debug, info, notice, warning, error or critical.",
        completion: .list(Logger.Level.allCases.map(\.rawValue)),
        transform: { text in
            guard let level = Logger.Level(rawValue: text) else {
                throw ValidationError("there is no log level '\(text)'")
            }
            return level
        })
    var logLevel = Logger.Level.warning

    /// A logger that writes to standard error.
    func logger(_ label: String) -> Logger {
        var logger = Logger(label: label) { TerminalLogHandler(stream: .standardError(label: $0)) }
        logger.logLevel = logLevel
        return logger
    }
}

/// Writes to standard error, in place of the progress that is shown.
private struct TerminalLogHandler: LogHandler {
    var stream: StreamLogHandler

    var logLevel: Logger.Level {
        get { stream.logLevel }
        set { stream.logLevel = newValue }
    }
    var metadata: Logger.Metadata {
        get { stream.metadata }
        set { stream.metadata = newValue }
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { stream[metadataKey: key] }
        set { stream[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        StandardError.clear()
        stream.log(event: event)
    }
}

/// A number of bytes, written plainly, with K, M, G or T (or KiB … TiB, powers of 1,024), with KB … TB (powers of 1,000), or as a
/// share of the machine's memory, 50%.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible {
    let bytes: Int

    init(_ bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        let unit = argument.dropFirst(digits.count).uppercased()
        guard let number = Int(digits), number > 0 else { return nil }
        if unit == "%" {
            guard number <= 100 else { return nil }
            bytes = Int(ProcessInfo.processInfo.physicalMemory / 100) * number
            return
        }
        guard let factor = ByteCount.factor(of: unit) else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        bytes = product
    }

    private static func factor(of unit: String) -> Int? {
        if unit.isEmpty || unit == "B" { return 1 }
        guard let first = unit.first, let power = Array("KMGT").firstIndex(of: first) else { return nil }
        return switch unit.dropFirst() {
        case "", "IB": 1 << (10 * (power + 1))
        case "B": (0...power).reduce(1) { product, _ in product * 1000 }
        default: nil
        }
    }

    var description: String {
        bytes % (1 << 30) == 0 ? "\(bytes >> 30)G" : bytes % (1 << 20) == 0 ? "\(bytes >> 20)M" : "\(bytes)"
    }
    var defaultValueDescription: String { description }
}

// Edges and units are read as they are written: NODE:SLOT.
extension Edge: ExpressibleByArgument {}
extension ComputationGraph.Unit: ExpressibleByArgument {
    /// Reads the text form.
    public init?(argument: String) { self.init(argument as String) }
}

extension CandidateSelection {
    /// Reads `blocks`, `branches`, `all` or a regular expression.
    init(argument: String) {
        switch argument {
        case "blocks": self = .blocks
        case "all": self = .all
        case "branches": self = .branches
        default: self = .matching(argument)
        }
    }
}
