internal import ArgumentParser
internal import Glibc
internal import Pruning

/// What the program was called with: as it was typed, and for a run that goes on with what it was started with.
enum Invocation {
    /// The program and its arguments, which runs keep.
    @TaskLocal static var commandLine = CommandLine.arguments

    /// Options whose values are paths.
    private static let paths: Set = [
        "--run", "--output", "--json", "--csv", "--report", "--keys", "--data", "--validation", "--fit-data",
        "--train-data", "--teacher", "--model",
    ]

    /// The arguments, completed where `--resume --run FOLDER` leaves out what the run knows: its own come first, so that options
    /// that are given now count.
    ///
    /// Relative paths of the run count from the folder in which it was started, which becomes the current one.
    ///
    /// - Throws: `JournalError` for a folder that holds no run, `InputError` for one of another command.
    static func completed(_ typed: [String]) throws -> [String] {
        guard let command = typed.first, typed.contains("--resume"),
            let folder = value(of: "--run", in: typed),
            (try? Espalier.parseAsRoot(typed)) == nil
        else { return typed }
        let recorded = try RecordedCommand(run: folder)
        guard recorded.arguments.first == command else {
            throw InputError(
                "\(folder): the run is of '\(recorded.arguments.first ?? "another command")', not of '\(command)'"
            )
        }
        let known = recorded.arguments.dropFirst().filter { $0 != "--resume" }
        func all(_ own: [String]) -> [String] { [command] + known + own.dropFirst() }
        // Whoever names the model means it.
        guard typed.count == 1 || typed[1].hasPrefix("-") else { return typed }
        guard let directory = recorded.directory, directory != RecordedCommand.currentDirectory else {
            return all(typed)
        }
        let absolute = withAbsolutePaths(typed)
        guard chdir(directory) == 0 else {
            throw InputError(
                "\(folder): the folder \(directory), where the run was started, is not here: name model and data"
            )
        }
        return all(absolute)
    }

    private static func value(of option: String, in arguments: [String]) -> String? {
        if let place = arguments.lastIndex(of: option), place + 1 < arguments.count {
            return arguments[place + 1]
        }
        return arguments.last { $0.hasPrefix(option + "=") }.map { String($0.dropFirst(option.count + 1)) }
    }

    private static func withAbsolutePaths(_ arguments: [String]) -> [String] {
        func absolute(_ path: String) -> String {
            ["/", "-", "example:"].contains(where: path.hasPrefix)
                ? path : RecordedCommand.currentDirectory + "/" + path
        }
        var result: [String] = []
        for (index, argument) in arguments.enumerated() {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            if index > 0, paths.contains(arguments[index - 1]) {
                result.append(absolute(argument))
            } else if parts.count == 2, paths.contains(parts[0]) {
                result.append(parts[0] + "=" + absolute(parts[1]))
            } else {
                result.append(argument)
            }
        }
        return result
    }
}
