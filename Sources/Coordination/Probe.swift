/// Places in the state machines that are seldom reached, by name: a simulation counts how often, and says which were not.
package enum Probe: String, CaseIterable, Sendable {
    case overdueTaskGoesToAnotherWorker = "an overdue task goes to another worker too"
    case waitingTaskIsCopied = "an idle worker gets a copy of a task that waits at another"
    case slowTaskIsCopied = "an idle worker gets a copy of a task that takes long"
    case taskIsAnsweredTwice = "a task that others have too is answered"
    case lateResultCounts = "a result counts whose task was given back"
    case lateResultIsKnown = "a result comes of a task that nobody waits for"
    case resultIsAnothersTask = "a result of another coordinator's task comes"
    case handoverCounts = "a handed-over result counts"
    case handoverTakesTasksBack = "a handed-over result takes back what is being computed"
    case handoverIsForLater = "a handed-over result is left to the worker for a source to come"
    case handoverIsOfNoUse = "a handed-over result is of no use"
    case handoverWaitsForProof = "a handed-over result waits until its worker has shown its numerics"
    case taskIsCancelled = "a task is cancelled because its result cannot matter"
    case taskFails = "a worker says that a task failed"
    case vanishedWorkerIsForgiven = "a worker that was thought dead comes back"
    case silentWorkerIsGivenUp = "a silent worker is given up"
    case stuckWorkerIsGivenUp = "a worker that answers nothing is given up"
    case workerConnectsAgain = "a worker comes again on another connection"
    case damagedMessage = "a damaged message arrives"
    case strangerIsIntroduced = "someone unknown is asked who it is"
    case shardIsLetGo = "a worker loses tasks on a shard that it let go"
    case shardMoves = "an idle worker is given a shard in the place of another"
    case holdIsRepeated = "a worker is told again what to hold"
    case welcomeIsRepeated = "a worker is welcomed again"
    case ownSleepIsForgiven = "a coordinator that was stopped forgives its workers' silence"
    case nobodyAnswers = "nobody has answered for long"
    case answerIsRepeated = "a worker sends an answer again"
    case answerBecomesHandover = "a worker's answer becomes a handover"
    case workerGivesUpComputation = "a worker ends because its computation does not"
    case workerForgivesOwnSleep = "a worker that was stopped forgives the coordinator's silence"
    case connectionBreaks = "a worker's connection breaks"
    case workerLooksForCoordinator = "a worker looks for its coordinator anew"
    case queuedTaskIsDropped = "a worker drops a queued task"
}

/// How often probes were reached.
package struct ProbeCounts: Sendable {
    /// By probe; those that were never reached are absent.
    package private(set) var counts: [Probe: Int] = [:]

    package init() {}

    package mutating func reach(_ probe: Probe) { counts[probe, default: 0] += 1 }

    package static func += (sum: inout ProbeCounts, other: ProbeCounts) {
        sum.counts.merge(other.counts, uniquingKeysWith: +)
    }
}
