internal import ArgumentParser
internal import Cluster

struct KeygenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen",
        abstract: "Make the keys with which workers on other machines and a coordinator know each other.",
        discussion: """
              espalier keygen keys                   keys/coordinator and keys/worker
              espalier keygen keys --worker gpu7     one more worker: keys/gpu7

            The coordinator gets keys/coordinator: its secret key, and in authorized/ the public keys of the workers that \
            may come. Workers get a folder like keys/worker: their secret key, and the coordinator's public one. Keys are \
            never overwritten. A key that is added to authorized/ while a coordinator runs is let in too; one that is taken \
            away cannot connect any more.
            """)

    @Argument(help: "The folder for the keys.")
    var folder: String
    @Option(
        name: .customLong("worker"),
        help: ArgumentHelp("The worker's name. (default: worker)", valueName: "name"))
    var worker: String?

    func run() async throws {
        try await reporting {
            let made = try KeyGeneration(in: folder, worker: worker)
            StandardOutput.write(made.text)
        }
    }
}
