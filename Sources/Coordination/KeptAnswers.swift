internal import OrderedCollections

/// Answers that a worker keeps until a coordinator has acknowledged them.
///
/// Results outlive the coordinator that asked for them: the next one of the same run gets them as handovers.
struct KeptAnswers: Sendable {
    private struct Answer {
        let order: WorkOrder
        let session: UInt64
        var message: WorkerMessage
        var sentAt: Instant
        /// How long to wait before the answer is sent again; doubles each time.
        var pause: Duration
    }

    /// More answers than credit and a few coordinators' ends leave unacknowledged.
    static let limit = 256
    private static let longestPause: Duration = .seconds(60)

    private var answers: OrderedDictionary<AttemptID, Answer> = [:]

    var ids: [AttemptID] { Array(answers.keys) }
    var count: Int { answers.count }
    /// Those that are no handovers.
    var ownCount: Int {
        answers.values.count { if case .handover = $0.message { false } else { true } }
    }

    func message(for id: AttemptID) -> WorkerMessage? { answers[id]?.message }

    /// Keeps an answer; of too many the oldest goes, which is then computed again.
    mutating func keep(
        _ message: WorkerMessage, to order: WorkOrder, session: UInt64, at now: Instant,
        pause: Duration
    ) {
        answers[order.id] = Answer(
            order: order, session: session, message: message, sentAt: now, pause: pause)
        if answers.count > Self.limit { answers.removeFirst() }
    }

    mutating func acknowledge(_ id: AttemptID) { answers[id] = nil }

    mutating func removeAll() { answers = [:] }

    /// A coordinator of the same run with other task numbers: results become handovers, and failures are forgotten.
    ///
    /// - Returns: how many results became handovers.
    mutating func handOver(to session: UInt64) -> Int {
        var count = 0
        for (id, answer) in answers where answer.session != session {
            switch answer.message {
            case .result(let result):
                count += 1
                answers[id]?.message = .handover(Handover(key: answer.order.key, result: result))
            case .handover: break
            default: answers[id] = nil
            }
        }
        return count
    }

    /// All answers, to be sent now.
    mutating func all(at now: Instant, pause: Duration) -> [WorkerMessage] {
        for id in answers.keys {
            answers[id]?.sentAt = now
            answers[id]?.pause = pause
        }
        return answers.values.map(\.message)
    }

    /// Answers that were sent long ago without an acknowledgement: answer or acknowledgement may have been lost.
    mutating func overdue(at now: Instant) -> [WorkerMessage] {
        var messages: [WorkerMessage] = []
        for (id, answer) in answers where now - answer.sentAt > answer.pause {
            messages.append(answer.message)
            answers[id]?.sentAt = now
            answers[id]?.pause = min(answer.pause * 2, max(answer.pause, Self.longestPause))
        }
        return messages
    }
}
