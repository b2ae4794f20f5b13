internal import ArgumentParser

/// The options of a run that goes on.
struct ResumeOptions: ParsableArguments {
    @Flag(
        name: .long,
        help:
            "Go on with the run in the folder where it was stopped. With --run nothing else is needed: the rest is as it was."
    )
    var resume = false
    @Flag(
        name: .long,
        help:
            "With --resume: go on although another version of Espalier began the run, which may compute other bits."
    )
    var allowOtherVersion = false

    func validate() throws {
        if allowOtherVersion, !resume { throw ValidationError("--allow-other-version goes with --resume") }
    }
}
