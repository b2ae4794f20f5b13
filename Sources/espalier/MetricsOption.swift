internal import ArgumentParser

/// The option that serves a run's progress.
struct MetricsOption: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Serve the run's progress over HTTP: /metrics for Prometheus, /status as JSON.",
            valueName: "host:port"))
    var metrics: String?
}
