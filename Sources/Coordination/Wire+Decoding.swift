internal import Datasets
public import Foundation
internal import Work
internal import SwiftProtobuf

extension Wire {
    /// Reads what a worker sent.
    ///
    /// - Throws: `WireError` for bytes that are no message of a worker.
    public func decodeWorkerMessage(_ bytes: Data) throws(WireError) -> WorkerMessage {
        switch try message(in: bytes) {
        case .hello(let hello):
            return .hello(
                Hello(
                    softwareVersion: try line(hello.softwareVersion, "hello", "software_version"),
                    identity: WorkerID(high: hello.identityHigh, low: hello.identityLow),
                    host: try line(hello.host, "hello", "host"), process: hello.process,
                    processor: try line(hello.processor, "hello", "processor"),
                    engine: try line(hello.engine, "hello", "engine"),
                    memory: hello.memory == 0 ? nil : Int(clamping: hello.memory)))
        case .ready(let ready):
            try check(ready.shards, multipleOf: 4, atMost: limits.shards, "ready", "shards")
            return .ready(
                shards: PackedArray.decode(ready.shards).map(Int.init),
                proof: ready.proof.isEmpty ? [] : try hash(ready.proof, "ready", "proof"))
        case .fetch(let fetch): return .fetch(try decoded(fetch))
        case .askStatus: return .askStatus
        case .result(let result): return .result(try decoded(result))
        case .handover(let handover):
            return .handover(
                Handover(
                    key: try decoded(handover.key, handover.hasKey, "handover"),
                    result: try decoded(handover.result)))
        case .failed(let failed):
            return .failed(
                TaskFailure(
                    id: AttemptID(TaskID(failed.task), failed.attempt),
                    reason: try line(failed.reason, "failed", "reason"), isPermanent: failed.permanent))
        case .cancelled(let cancelled):
            return .cancelled(AttemptID(TaskID(cancelled.task), cancelled.attempt))
        case .alive(let alive): return .alive(computed: alive.computed)
        case .waiting(let waiting): return .waiting(reason: try line(waiting.reason, "waiting", "reason"))
        case .goodbye(let goodbye):
            return .goodbye(reason: try line(goodbye.reason, "goodbye", "reason"), failed: goodbye.failed)
        case let other: throw .unknownKind(Self.name(of: other))
        }
    }

    /// Reads what a coordinator sent. A refusal is understood in every version of the protocol.
    ///
    /// - Throws: `WireError` for bytes that are no message of a coordinator.
    public func decodeCoordinatorMessage(_ bytes: Data) throws(WireError) -> CoordinatorMessage {
        switch try message(in: bytes) {
        case .welcome(let welcome): return .welcome(try decoded(welcome))
        case .refused(let refused): return .refused(reason: try line(refused.reason, "refused", "reason"))
        case .task(let task): return .task(try decoded(task))
        case .acknowledged(let acknowledged):
            return .acknowledged(AttemptID(TaskID(acknowledged.task), acknowledged.attempt))
        case .cancel(let cancel): return .cancel(TaskID(cancel.task))
        case .stop(let stop): return .stop(reason: try line(stop.reason, "stop", "reason"))
        case .alive: return .alive
        case .introduce: return .introduce
        case .hold(let hold): return .hold(try decoded(hold))
        case .status(let status): return .status(json: status.json)
        case .chunk(let chunk): return .chunk(try decoded(chunk))
        case .missing(let missing):
            return .missing(
                sha256: try hash(missing.sha256, "missing", "sha256"),
                reason: try line(missing.reason, "missing", "reason"))
        case let other: throw .unknownKind(Self.name(of: other))
        }
    }

    private func message(in bytes: Data) throws(WireError) -> ProtoFrame.OneOf_Message {
        guard bytes.count <= limits.frameBytes else {
            throw .tooLarge(bytes: bytes.count, limit: limits.frameBytes)
        }
        let checksum = Checksum.verdict(on: bytes)
        guard checksum != .wrong else { throw .damaged }
        var options = BinaryDecodingOptions()
        options.discardUnknownFields = true
        options.messageDepthLimit = 5
        guard let frame = try? ProtoFrame(serializedBytes: bytes, options: options) else { throw .malformed }
        if frame.version != Self.version {
            if case .refused = frame.message, frame.version != 0 {
            } else {
                throw frame.version == 0 ? .malformed : .wrongVersion(peer: frame.version, own: Self.version)
            }
        }
        guard checksum == .right || frame.version != Self.version else { throw .damaged }
        guard let message = frame.message else { throw .unknownKind("unknown") }
        return message
    }

    private func decoded(_ result: ProtoResult) throws(WireError) -> TaskResult {
        try check(result.result, multipleOf: 1, atMost: limits.resultBytes, "result", "result")
        guard result.seconds >= 0, result.seconds.isFinite else {
            throw .invalid(message: "result", field: "seconds", problem: "it cannot be \(result.seconds)")
        }
        return TaskResult(
            id: AttemptID(TaskID(result.task), result.attempt), result: Array(result.result),
            seconds: result.seconds)
    }

    func decoded(_ key: ProtoWorkKey, _ isThere: Bool, _ message: String) throws(WireError) -> WorkKey {
        guard isThere, !key.kind.isEmpty, key.kind.utf8.count <= limits.nameBytes else {
            throw .invalid(message: message, field: "key", problem: "it names no kind of work")
        }
        try check(key.payload, multipleOf: 1, atMost: limits.payloadBytes, message, "key.payload")
        return WorkKey(
            kind: WorkKind(try line(key.kind, message, "key.kind")), stage: Int(key.stage),
            payload: Array(key.payload))
    }

    private func decoded(_ task: ProtoTask) throws(WireError) -> WorkOrder {
        guard task.deadlineSeconds >= 0, task.deadlineSeconds.isFinite else {
            throw .invalid(
                message: "task", field: "deadline_seconds", problem: "it cannot be \(task.deadlineSeconds)")
        }
        try check(task.hints, multipleOf: 1, atMost: limits.payloadBytes, "task", "hints")
        guard task.contents.count <= limits.itemContents else {
            throw .invalid(
                message: "task", field: "contents", problem: "\(task.contents.count) are too many")
        }
        var contents: [ContentID] = []
        for content in task.contents { contents.append(try decoded(content, "task", "contents")) }
        return WorkOrder(
            id: AttemptID(TaskID(task.task), task.attempt), key: try decoded(task.key, task.hasKey, "task"),
            hints: Array(task.hints), contents: contents, deadline: .clamped(seconds: task.deadlineSeconds))
    }

    private func decoded(_ welcome: ProtoWelcome) throws(WireError) -> RunDescription {
        for (number, limit, field) in [
            (welcome.samples, limits.samples, "samples"), (welcome.shards, limits.shards, "shards"),
            (welcome.blockSize, limits.samples, "block_size"),
            (welcome.sampleLimit, limits.samples, "sample_limit"),
            (welcome.memoryBudget, .max, "memory_budget"),
            (welcome.heartbeatNanoseconds, Int(3600e9), "heartbeat_nanoseconds"),
            (welcome.dataBytes, .max, "data_bytes"), (welcome.dataBudget, .max, "data_budget"),
        ] where number > UInt64(limit) {
            throw .invalid(message: "welcome", field: field, problem: "\(number) exceeds \(limit)")
        }
        guard welcome.heartbeatNanoseconds >= 1_000_000 else {
            throw .invalid(
                message: "welcome", field: "heartbeat_nanoseconds", problem: "less than a millisecond")
        }
        guard
            let sharding = try? Sharding(
                samples: Int(welcome.samples), shards: Int(welcome.shards), blockSize: Int(welcome.blockSize))
        else {
            throw .invalid(
                message: "welcome", field: "shards",
                problem:
                    "\(welcome.samples) samples in \(welcome.shards) shards of blocks of \(welcome.blockSize)"
            )
        }
        return RunDescription(
            session: welcome.session, modelPath: try text(welcome.modelPath, "welcome", "model_path"),
            modelSHA256: try hash(welcome.modelSha256, "welcome", "model_sha256"),
            dataPath: try text(welcome.dataPath, "welcome", "data_path"),
            dataSHA256: try hash(welcome.dataSha256, "welcome", "data_sha256"),
            sampleLimit: welcome.sampleLimit == 0 ? nil : Int(welcome.sampleLimit),
            setup: try text(welcome.setup, "welcome", "setup"), sharding: sharding,
            memoryBudget: welcome.memoryBudget == 0 ? nil : Int(welcome.memoryBudget),
            heartbeat: .nanoseconds(Int64(welcome.heartbeatNanoseconds)),
            modelParts: try decoded(welcome.modelParts),
            reference: welcome.hasReference ? try decoded(welcome.reference) : nil,
            dataBytes: Int(welcome.dataBytes),
            dataBudget: welcome.dataBudget == 0 ? nil : Int(welcome.dataBudget))
    }

    func check(
        _ bytes: Data, multipleOf size: Int, atMost limit: Int, _ message: String, _ field: String
    ) throws(WireError) {
        guard bytes.count % size == 0, bytes.count / size <= limit else {
            throw .invalid(
                message: message, field: field,
                problem: "\(bytes.count) bytes are no array of at most \(limit) elements of \(size) bytes")
        }
    }

    /// A text that is shown to people: one line, whatever a peer put into it.
    func line(_ line: String, _ message: String, _ field: String) throws(WireError) -> String {
        let text = try text(line, message, field)
        guard text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            return text
        }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    }

    func text(_ text: String, _ message: String, _ field: String) throws(WireError) -> String {
        guard text.utf8.count <= limits.textBytes else {
            throw .invalid(
                message: message, field: field,
                problem: "a text of \(text.utf8.count) bytes exceeds \(limits.textBytes)")
        }
        return text
    }

    private static func name(of message: ProtoFrame.OneOf_Message) -> String {
        switch message {
        case .refused: "refused"
        case .welcome: "welcome"
        case .task: "task"
        case .acknowledged: "acknowledged"
        case .cancel: "cancel"
        case .stop: "stop"
        case .introduce: "introduce"
        case .hold: "hold"
        case .chunk: "chunk"
        case .missing: "missing"
        case .status: "status"
        case .askStatus: "ask_status"
        case .fetch: "fetch"
        case .hello: "hello"
        case .ready: "ready"
        case .result: "result"
        case .handover: "handover"
        case .failed: "failed"
        case .cancelled: "cancelled"
        case .goodbye: "goodbye"
        case .alive: "alive"
        case .waiting: "waiting"
        }
    }
}
