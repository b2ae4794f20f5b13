internal import ArgumentParser

/// The option that serves a run's progress.
struct MetricsOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Serve the run's progress over HTTP: /metrics for Prometheus, /status as JSON.",
            valueName: "host:port"))
    var metrics: String?

    func validate() throws {
        guard let metrics else { return }
        let parts = metrics.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, UInt16(parts[1]) != nil else {
            throw ValidationError("--metrics takes HOST:PORT, not '\(metrics)'")
        }
    }
}
