internal import Coordination
internal import Datasets
internal import Foundation
internal import Search
internal import Work

/// Workers that hold what the coordinator tells them to, and get it piece by piece.
extension Simulator {
    /// Bytes of a shard.
    static let shardSize = 100

    /// The shards as contents; none where workers load the data themselves.
    var shardContents: [ShardContent] {
        guard world.shardRoom != nil else { return [] }
        return (0..<problem.problem.division.sharding.shards).map { shard in
            let hash = [UInt8](repeating: UInt8(truncatingIfNeeded: shard), count: 32)
            return ShardContent(
                shard: shard, content: ContentID(sha256: hash, size: Simulator.shardSize))
        }
    }

    /// Lets go what is not wanted any more, and asks for what is missing.
    func hold(_ shards: [ShardContent], by index: Int) {
        nodes[index].wanted = shards
        nodes[index].held.removeAll { held in !shards.contains { $0.shard == held } }
        say(.holds(nodes[index].held), to: index)
        askForNext(index)
    }

    /// A shard arrived, unless it is not wanted any more.
    func take(_ chunk: Chunk, by index: Int) {
        guard let shard = nodes[index].wanted.first(where: { $0.content.sha256 == chunk.sha256 })?.shard,
            !nodes[index].held.contains(shard)
        else { return }
        counts.heldShards += 1
        nodes[index].held.append(shard)
        say(.holds(nodes[index].held), to: index)
        askForNext(index)
    }

    private func askForNext(_ index: Int) {
        let held = nodes[index].held
        guard let next = nodes[index].wanted.first(where: { !held.contains($0.shard) }) else { return }
        let request = ChunkRequest(sha256: next.content.sha256, offset: 0, count: next.content.size)
        say(.request(request), to: index)
    }

    /// A worker's own threads take a moment to tell its state machine.
    private func say(_ event: WorkerEvent, to index: Int) {
        schedule(.work(index, process: nodes[index].process, event), in: 1)
    }
}

/// Whoever may connect may also say things, without being a worker.
extension Simulator {
    private func newStranger() -> ConnectionID {
        strangers += 1
        return Link(node: 0xFFFF, number: strangers, coordinator: coordinatorNumber).connection
    }

    /// Somebody asks how far the run is, is told, and is no worker.
    func askAsStranger() throws {
        let stranger = newStranger()
        let before = coordinator?.workers.count
        reports = []
        let question = try wire.decodeWorkerMessage(wire.encode(WorkerMessage.askStatus))
        try tell(.received(question, from: stranger))
        guard reports == [stranger], coordinator?.workers.count == before else {
            throw SimulationFailure("who asked for the status was not told, or taken for a worker")
        }
    }

    /// Somebody who has not introduced themselves says what only a worker may say, or nothing that makes sense.
    func talkAsStranger() throws {
        let stranger = newStranger()
        let shard = [UInt8](repeating: 0, count: 32)
        let messages: [WorkerMessage] = [
            .alive(computed: 1), .ready(shards: [0]), .goodbye(reason: "nothing", failed: false),
            .fetch(ChunkRequest(sha256: shard, offset: 0, count: Simulator.shardSize)),
        ]
        var bytes = try wire.encode(messages[draw(0...messages.count - 1)])
        if draw(0...1) == 0 { bytes = Data(bytes.shuffled(using: &random)) }
        let event: CoordinatorEvent
        do throws(WireError) {
            event = .received(try wire.decodeWorkerMessage(bytes), from: stranger)
        } catch { event = .malformed(error, from: stranger) }
        try tell(event)
        guard let known = coordinator?.workers.first(where: { $0.connection == stranger }) else { return }
        guard known.phase == .greeting, known.outstanding == 0 else {
            throw SimulationFailure("a stranger was taken for a worker: \(known)")
        }
    }
}
