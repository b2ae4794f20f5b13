internal import ArgumentParser
internal import ComputationGraph
internal import Pruning

/// The options that say how weights are refitted before a mask is measured, and on what.
struct RecoveryArguments: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What adapts to a removal before it is measured: least-squares, bias, norm, mean or none; several with commas.",
            discussion: """
                least-squares refits every linear layer behind a removal, in graph order, so that it gives what it gave in \
                the unpruned model, or what makes a sum whole that it enters. bias refits their biases alone: what removed parts \
                gave on average is folded in. norm refits scale and shift of every normalisation. mean is --replace mean. No labels are needed, and nothing is random.
                """,
            valueName: "rungs"))
    var recover = Rungs(recovery: [], replacesByMean: false)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The strength of the ridge that holds refitted weights near the old ones, as a share of the mean of the Gram "
                + "matrix's diagonal. (default: chosen for each layer by rows held out of the fit)",
            valueName: "X"))
    var ridge: Double?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Data to fit on, without labels. (default: some of the samples are set apart)", valueName: "data")
    )
    var fitData: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The most samples to fit on. (default: 512, fewer of a large model or of few samples)",
            valueName: "N"))
    var fitSamples: Int?

    @Option(
        name: .long,
        help: ArgumentHelp("Rows that a layer is fitted on, for each of its features.", valueName: "N"))
    var fitRows = Recovery.usualRowsPerFeature

    func validate() throws {
        if let ridge, !(ridge >= 0 && ridge.isFinite) {
            throw ValidationError("--ridge must be a number not below 0")
        }
        if let fitSamples, fitSamples < 1 { throw ValidationError("--fit-samples must be at least 1") }
        if fitRows < 1 { throw ValidationError("--fit-rows must be at least 1") }
        if recover.recovery.isEmpty, ridge != nil || fitData != nil || fitSamples != nil {
            throw ValidationError(
                "--ridge, --fit-data and --fit-samples need --recover least-squares or norm")
        }
    }

    /// What is refitted, and on what.
    var options: RecoveryOptions {
        RecoveryOptions(
            Recovery(recover.recovery, ridge: ridge, rowsPerFeature: fitRows), data: fitData,
            samples: fitSamples)
    }

    /// What removed slots read, where nothing else is asked for.
    func replacement(_ asked: Replacement) -> Replacement {
        recover.replacesByMean && asked == .zero ? .mean : asked
    }

    /// Kinds of recovery, separated by commas.
    struct Rungs: ExpressibleByArgument, CustomStringConvertible {
        let recovery: Set<Recovery.Rung>
        let replacesByMean: Bool

        init(recovery: Set<Recovery.Rung>, replacesByMean: Bool) {
            (self.recovery, self.replacesByMean) = (recovery, replacesByMean)
        }

        init?(argument: String) {
            var rungs: Set<Recovery.Rung> = []
            var names = argument.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            replacesByMean = names.contains("mean")
            names.removeAll { $0 == "mean" }
            if names == ["none"] { names = [] }
            for name in names {
                guard let rung = Recovery.Rung(rawValue: name) else { return nil }
                rungs.insert(rung)
            }
            recovery = rungs
        }

        var description: String {
            let names =
                (replacesByMean ? ["mean"] : [])
                + Recovery.Rung.allCases.filter(recovery.contains).map(\.rawValue)
            return names.isEmpty ? "none" : names.joined(separator: ",")
        }
        var defaultValueDescription: String { description }
    }
}
