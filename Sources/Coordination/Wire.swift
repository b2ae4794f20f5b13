internal import Datasets
public import Foundation
internal import Work
internal import SwiftProtobuf

/// Messages as bytes, and bytes as messages.
///
/// Decoding trusts nothing: sizes, counts and ranges are checked before anything is allocated for them, and what
/// does not fit is an error that names message and field.
public struct Wire: Sendable {
    /// The version of the protocol.
    public static let version: UInt32 = 4
    /// How large messages may be.
    public let limits: WireLimits

    /// A codec with these limits.
    public init(limits: WireLimits = WireLimits()) { self.limits = limits }

    // MARK: Encoding

    /// The bytes of a worker's message.
    ///
    /// - Throws: `invalid` for a message that the other side would have to refuse, e.g. too large a block.
    public func encode(_ message: WorkerMessage) throws(WireError) -> Data {
        var frame = ProtoFrame()
        switch message {
        case .hello(let hello):
            frame.hello = .with {
                $0.softwareVersion = clipped(hello.softwareVersion)
                $0.identityHigh = hello.identity.high
                $0.identityLow = hello.identity.low
                $0.host = clipped(hello.host)
                $0.process = hello.process
                $0.processor = clipped(hello.processor)
                $0.engine = clipped(hello.engine)
                $0.memory = UInt64(hello.memory ?? 0)
            }
        case .ready(let shards, let proof):
            frame.ready = .with {
                $0.shards = PackedArray.encode(shards.map { UInt32(clamping: $0) })
                $0.proof = Data(proof)
            }
        case .askStatus: frame.askStatus = ProtoAskStatus()
        case .fetch(let request):
            frame.fetch = .with {
                $0.sha256 = Data(request.sha256)
                $0.offset = UInt64(max(0, request.offset))
                $0.count = UInt32(clamping: request.count)
            }
        case .result(let result): frame.result = try encoded(result)
        case .handover(let handover):
            var proto = ProtoHandover()
            proto.key = try encoded(handover.key, "handover")
            proto.result = try encoded(handover.result)
            frame.handover = proto
        case .failed(let failure):
            frame.failed = .with {
                $0.task = failure.id.task.number
                $0.attempt = failure.id.attempt
                $0.reason = clipped(failure.reason)
                $0.permanent = failure.isPermanent
            }
        case .cancelled(let id):
            frame.cancelled = .with {
                $0.task = id.task.number
                $0.attempt = id.attempt
            }
        case .alive(let computed): frame.alive = .with { $0.computed = computed }
        case .waiting(let reason): frame.waiting = .with { $0.reason = clipped(reason) }
        case .goodbye(let reason, let failed):
            frame.goodbye = .with {
                $0.reason = clipped(reason)
                $0.failed = failed
            }
        }
        return try bytes(of: frame)
    }

    /// The bytes of a coordinator's message.
    ///
    /// - Throws: `invalid` for a message that the other side would have to refuse, e.g. too large a block.
    public func encode(_ message: CoordinatorMessage) throws(WireError) -> Data {
        var frame = ProtoFrame()
        switch message {
        case .welcome(let run): frame.welcome = try encoded(run)
        case .refused(let reason): frame.refused = .with { $0.reason = clipped(reason) }
        case .task(let order): frame.task = try encoded(order)
        case .acknowledged(let id):
            frame.acknowledged = .with {
                $0.task = id.task.number
                $0.attempt = id.attempt
            }
        case .cancel(let task): frame.cancel = .with { $0.task = task.number }
        case .stop(let reason): frame.stop = .with { $0.reason = clipped(reason) }
        case .alive: frame.alive = ProtoAlive()
        case .introduce: frame.introduce = ProtoIntroduce()
        case .hold(let shards): frame.hold = try encoded(shards)
        case .chunk(let chunk):
            frame.chunk = .with {
                $0.sha256 = Data(chunk.sha256)
                $0.offset = UInt64(max(0, chunk.offset))
                $0.bytes = chunk.bytes
            }
        case .status(let json): frame.status = .with { $0.json = json }
        case .missing(let sha256, let reason):
            frame.missing = .with {
                $0.sha256 = Data(sha256)
                $0.reason = clipped(reason)
            }
        }
        return try bytes(of: frame)
    }

    private func encoded(_ result: TaskResult) throws(WireError) -> ProtoResult {
        guard result.result.count <= limits.resultBytes else {
            throw .invalid(
                message: "result", field: "result",
                problem: "\(result.result.count) bytes are more than may be sent")
        }
        return .with {
            $0.task = result.id.task.number
            $0.attempt = result.id.attempt
            $0.result = Data(result.result)
            $0.seconds = result.seconds
        }
    }

    func encoded(_ key: WorkKey, _ message: String) throws(WireError) -> ProtoWorkKey {
        guard key.payload.count <= limits.payloadBytes, key.kind.description.utf8.count <= limits.nameBytes
        else {
            throw .invalid(
                message: message, field: "key",
                problem: "\(key.payload.count) bytes are more than may be sent")
        }
        return .with {
            $0.kind = key.kind.description
            $0.stage = UInt32(clamping: key.stage)
            $0.payload = Data(key.payload)
        }
    }

    private func encoded(_ order: WorkOrder) throws(WireError) -> ProtoTask {
        guard order.hints.count <= limits.payloadBytes, order.contents.count <= limits.itemContents else {
            throw .invalid(
                message: "task", field: "hints",
                problem:
                    "\(order.hints.count) bytes of hints and \(order.contents.count) contents are more than "
                    + "may be sent")
        }
        let key = try encoded(order.key, "task")
        return .with {
            $0.task = order.id.task.number
            $0.attempt = order.id.attempt
            $0.key = key
            $0.hints = Data(order.hints)
            $0.contents = order.contents.map { encoded($0) }
            $0.deadlineSeconds = order.deadline.inSeconds
        }
    }

    private func encoded(_ run: RunDescription) throws(WireError) -> ProtoWelcome {
        var reference: ProtoReference?
        if let own = run.reference { reference = try encoded(own) }
        return .with {
            $0.session = run.session
            $0.modelPath = run.modelPath
            $0.modelSha256 = Data(run.modelSHA256)
            $0.dataPath = run.dataPath
            $0.dataSha256 = Data(run.dataSHA256)
            $0.sampleLimit = UInt64(run.sampleLimit ?? 0)
            $0.setup = run.setup
            $0.samples = UInt64(run.sharding.samples)
            $0.shards = UInt64(run.sharding.shards)
            $0.blockSize = UInt64(run.sharding.blockSize)
            $0.memoryBudget = UInt64(run.memoryBudget ?? 0)
            $0.heartbeatNanoseconds = UInt64(max(0, run.heartbeat.nanoseconds))
            $0.modelParts = run.modelParts.map { encoded($0) }
            if let reference { $0.reference = reference }
            $0.dataBytes = UInt64(max(0, run.dataBytes))
            $0.dataBudget = UInt64(max(0, run.dataBudget ?? 0))
        }
    }

    private func bytes(of frame: consuming ProtoFrame) throws(WireError) -> Data {
        frame.version = Self.version
        guard var bytes: Data = try? frame.serializedData() else { throw .malformed }
        Checksum.append(to: &bytes)
        guard bytes.count <= limits.frameBytes else {
            throw .tooLarge(bytes: bytes.count, limit: limits.frameBytes)
        }
        return bytes
    }

    /// Bytes with the checksum that makes them a frame, for who makes frames by hand.
    package static func sealed(_ bytes: Data) -> Data {
        var frame = bytes
        Checksum.append(to: &frame)
        return frame
    }

    /// Free text, cut where it is too long to be sent.
    private func clipped(_ text: String) -> String {
        guard text.utf8.count > limits.textBytes else { return text }
        var clipped = text.prefix(limits.textBytes)
        while clipped.utf8.count > limits.textBytes { clipped.removeLast() }
        return String(clipped)
    }
}
