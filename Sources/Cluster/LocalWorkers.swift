internal import Coordination
internal import Dispatch
internal import Foundation
internal import Logging
internal import Synchronization

/// Worker processes on this machine, replaced when they die.
final class LocalWorkers: Sendable {
    private struct State {
        var children: [Int32: ChildProcess] = [:]
        /// The last lines of all workers together; a dying process's own are among them.
        var lastLines: [String] = []
        /// Processes in a row that ended before they were ready.
        var earlyDeaths = 0
        var isStopping = false
        /// Processes that have introduced themselves, with how many looks in a row the coordinator has not known them.
        var absences: [Int32: Int] = [:]
    }

    private let executable: String
    private let endpoint: String
    private let runner: ClusterRunner
    private let logger: Logger
    private let state = Mutex(State())

    /// So many processes in a row may die before they are ready. Then something is wrong with all of them, unless another
    /// one computes, here or elsewhere: that is not stopped for their sake.
    private static let earlyDeathLimit = 3
    /// Seconds until the next one is tried beside one that computes.
    private static let pause = 10

    /// A worker that lives comes back to the coordinator within a few seconds. One that has been away for so many looks,
    /// one a second, hangs.
    private static let absenceLimit = 10

    /// Starts `count` processes.
    ///
    /// - Throws: `ClusterError.cannotStart`.
    init(
        count: Int, executable: String?, endpoint: String, runner: ClusterRunner, logger: Logger
    ) throws(ClusterError) {
        self.executable = executable ?? "/proc/self/exe"
        self.endpoint = endpoint
        self.runner = runner
        self.logger = logger
        for _ in 0..<count {
            do throws(ClusterError) { try start() } catch {
                stop(politely: false)
                throw error
            }
        }
        watch()
    }

    /// Looks once a second for processes that hang, and ends them, so that others take their place. Looks are counted,
    /// not time: this process may have been stopped too.
    private func watch() {
        DispatchQueue.global().asyncAfter(deadline: .now() + 1) { [weak self] in
            guard let self, !self.state.withLock({ $0.isStopping }) else { return }
            let known = Set(self.runner.workers.compactMap { $0.hello?.process })
            let hung = self.state.withLock { state in
                state.absences = state.absences.filter { state.children[$0.key] != nil }
                for process in state.children.keys {
                    if known.contains(process) {
                        state.absences[process] = 0
                    } else if let looks = state.absences[process] {
                        state.absences[process] = looks + 1
                    }
                }
                return state.children.values.filter {
                    state.absences[$0.process, default: 0] == LocalWorkers.absenceLimit
                }
            }
            for child in hung {
                self.logger.warning("worker process \(child.process) hangs, and is ended")
                child.kill()
            }
            self.watch()
        }
    }

    /// The processes that live.
    var processes: [Int32] { state.withLock { $0.children.keys.sorted() } }

    private func start() throws(ClusterError) {
        var environment = ProcessInfo.processInfo.environment
        for (name, value) in [
            // Workers compute on one thread each; there are as many workers as the user wants threads.
            ("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("MKL_NUM_THREADS", "1"),
        ] {
            environment[name] = value
        }
        let child = try ChildProcess(
            executable, ["worker", "--connect", endpoint, "--exit-with-parent"], environment: environment,
            line: { [weak self] line in self?.forward(line) },
            end: { [weak self] child, ending in self?.replace(child, ending) })
        let isLate = state.withLock { state in
            state.children[child.process] = child
            return state.isStopping
        }
        if isLate { child.closeInput() }
    }

    private func forward(_ line: String) {
        logger.info("worker: \(line)")
        state.withLock { state in
            state.lastLines.append(line)
            if state.lastLines.count > 5 { state.lastLines.removeFirst() }
        }
    }

    private func replace(_ child: ChildProcess, _ ending: ProcessEnding) {
        runner.processEnded(child.process)
        let wasReady = runner.wasReady(child.process)
        let (isStopping, early, lines) = state.withLock { state in
            state.children[child.process] = nil
            state.earlyDeaths = wasReady ? 0 : state.earlyDeaths + 1
            return (state.isStopping, state.earlyDeaths, state.lastLines)
        }
        guard !isStopping else { return }
        logger.warning("worker process \(child.process) ended with \(ending)")
        if early < LocalWorkers.earlyDeathLimit {
            startAgain()
        } else if runner.workers.contains(where: { $0.phase == .ready }) {
            logger.warning(
                "\(early) in a row ended before they could compute; the next one starts in \(LocalWorkers.pause) seconds"
            )
            DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(LocalWorkers.pause)) {
                [weak self] in
                self?.startAgain()
            }
        } else {
            runner.fail(ClusterError.workersDie(count: early, last: "\(ending)", output: lines))
        }
    }

    private func startAgain() {
        guard !state.withLock({ $0.isStopping }) else { return }
        do throws(ClusterError) { try start() } catch { runner.fail(error) }
    }

    /// From now on a worker that ends is not replaced: to be called before workers are told to stop.
    func expectEnd() { state.withLock { $0.isStopping = true } }

    /// Waits for workers that were told to stop, and ends those that do not.
    func stop(politely: Bool = true) {
        expectEnd()
        let children = state.withLock { Array($0.children.values) }
        if politely {
            let deadline = DispatchTime.now() + 2
            for child in children { _ = child.wait(until: deadline) }
        }
        for child in children { child.closeInput() }
        let deadline = DispatchTime.now() + 1
        for child in children where !child.wait(until: deadline) { child.kill() }
        let reaped = DispatchTime.now() + 5
        for child in children { _ = child.wait(until: reaped) }
    }
}
