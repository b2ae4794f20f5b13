import ComputationGraph
import Coordination
import Datasets
import Foundation
import Search
import Work

/// Peers that may say anything, in any order, to a coordinator in the middle of a level, and a coordinator that may
/// say anything to a worker: no state machine traps, or breaks a promise to itself.
extension Targets {
    /// Steps: a byte for who speaks and how much time has passed, one for the length, and so many bytes of a message.
    static func machines(_ bytes: Data) -> Int32 {
        guard let sharding = try? Sharding(samples: 12, shards: 2, blockSize: 2) else { return 0 }
        let division = SampleDivision(sharding: sharding, weights: [Float](repeating: 1, count: 12))
        let run = RunDescription(
            session: 7 << 32, modelPath: "m", modelSHA256: [UInt8](repeating: 1, count: 32), dataPath: "d",
            dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, setup: "kl", sharding: sharding)
        var settings = CoordinatorSettings(run: run, softwareVersion: "1")
        // Every second input meets a coordinator that says who holds which shards.
        if bytes.count % 2 == 1 {
            settings.shards = (0..<2).map {
                ShardContent(
                    shard: $0, content: ContentID(sha256: [UInt8](repeating: 3, count: 32), size: 100))
            }
        }
        var coordinator = Coordinator(settings)
        let cost = Cost(parameters: 1, flops: 1)
        let level = Level(
            number: 1, parents: [FrontierState(unmeasured: Variant(.empty), division)],
            expansions: (0..<3).map {
                let unit = Unit(Edge(node: $0, slot: 0))
                return Expansion(
                    parent: 0, unit: unit, variant: Variant(.empty).removing(unit), cost: cost)
            }, keep: 1, baseLoss: 0, objective: .absolute)
        var worker = Worker(
            WorkerSettings(
                hello: Hello(
                    softwareVersion: "1", identity: WorkerID(high: 1, low: 1), host: "h", process: 1,
                    processor: "")))
        var now = Instant.zero
        var computing: WorkOrder?
        /// What a worker's process does about actions that matter here; a task is computed before the next message.
        func perform(_ actions: [WorkerAction]) {
            for action in actions {
                switch action {
                case .load(let run): perform(worker.handle(.loaded(run, shards: [0]), at: now))
                case .compute(let order): computing = order
                default: break
                }
            }
        }
        _ = coordinator.handle(
            .begin(LevelRace(level, division: division), recorded: []), at: now)
        _ = worker.handle(.connected, at: now)
        let wire = Wire()
        var rest = bytes[...]
        while rest.count >= 2 {
            let step = rest.removeFirst()
            let length = min(Int(rest.removeFirst()), rest.count)
            let frame = Wire.sealed(Data(rest.prefix(length)))
            rest = rest.dropFirst(length)
            now = now + .milliseconds(Int(step >> 3) * 200)
            let connection = ConnectionID([step & 3])
            let toWorker = step & 4 != 0
            if let order = computing, step & 3 != 0 {
                computing = nil
                // What it was given may be no losses at all.
                let units = (try? LossItem(payload: order.key.payload))?.units ?? []
                let result = LossItem.result(units.map { _ in SampleScores(losses: [1], correct: []) })
                perform(worker.handle(.computed(order.id, result: result, seconds: 0.1), at: now))
            }
            do throws(WireError) {
                if toWorker {
                    let message = try wire.decodeCoordinatorMessage(frame)
                    perform(worker.handle(.received(message), at: now))
                } else {
                    let message = try wire.decodeWorkerMessage(frame)
                    _ = coordinator.handle(.received(message, from: connection), at: now)
                }
            } catch {
                if toWorker {
                    perform(worker.handle(.malformed(error), at: now))
                } else {
                    _ = coordinator.handle(.malformed(error, from: connection), at: now)
                }
            }
            check { () throws(InvariantViolation) in try coordinator.validateState() }
            check { () throws(InvariantViolation) in try worker.validateState() }
            _ = coordinator.handle(.tick, at: now)
            perform(worker.handle(.tick, at: now))
        }
        return 0
    }

    private static func check(_ validate: () throws(InvariantViolation) -> Void) {
        do throws(InvariantViolation) { try validate() } catch { fatalError("\(error)") }
    }

    /// What a worker says, or a coordinator, to begin with.
    static func conversation(_ messages: [Data], toWorker: Bool) -> Data {
        messages.reduce(into: Data()) { all, frame in
            // Without the checksum, which the target adds.
            let message = frame.dropLast(9)
            guard message.count < 256 else { return }
            all += [toWorker ? 12 : 8, UInt8(message.count)] + message
        }
    }
}
