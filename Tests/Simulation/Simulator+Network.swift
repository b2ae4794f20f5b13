internal import Coordination
internal import Foundation

/// One connection of a worker to one coordinator's process.
struct Link: Hashable {
    let node: Int
    /// Counts the node's connections.
    let number: Int
    /// The coordinator's process.
    let coordinator: Int

    var connection: ConnectionID {
        ConnectionID(
            [node >> 8, node, number >> 16, number >> 8, number, coordinator >> 8, coordinator].map {
                UInt8(truncatingIfNeeded: $0)
            })
    }

    init(node: Int, number: Int, coordinator: Int) {
        self.node = node
        self.number = number
        self.coordinator = coordinator
    }

    init(_ connection: ConnectionID) {
        let bytes = connection.bytes.map(Int.init)
        node = bytes[0] << 8 | bytes[1]
        number = bytes[2] << 16 | bytes[3] << 8 | bytes[4]
        coordinator = bytes[5] << 8 | bytes[6]
    }
}

extension Simulator {
    func connect(_ index: Int) {
        nodes[index].linkCount += 1
        nodes[index].link = nodes[index].linkCount
    }

    /// What is on its way is lost; the coordinator hears of it, or not.
    func disconnect(_ index: Int, isSeen: Bool) {
        guard let number = nodes[index].link else { return }
        nodes[index].link = nil
        if isSeen {
            let link = Link(node: index, number: number, coordinator: coordinatorNumber)
            schedule(.linkLost(link), in: draw(world.delay))
        }
    }

    private func isCut(_ node: Int, upwards: Bool) -> Bool {
        now < (upwards ? nodes[node].cutUpUntil : nodes[node].cutDownUntil)
    }

    func sendUp(_ message: WorkerMessage, from index: Int) throws {
        guard nodes[index].link != nil else { return }
        for (fault, isSeen) in [(Fault.connectionBreak, true), (.unseenConnectionBreak, false)]
        where strikes(fault) {
            disconnect(index, isSeen: isSeen)
            // The transport connects again by itself, and does not say so.
            connect(index)
            return
        }
        guard let number = nodes[index].link else { return }
        let link = Link(node: index, number: number, coordinator: 0)
        try travel(wire.encode(message), on: link, upwards: true)
    }

    func sendDown(_ message: CoordinatorMessage, to connection: ConnectionID) throws {
        let link = Link(connection)
        // Strangers listen to nothing.
        guard nodes.indices.contains(link.node) else { return }
        if strikes(.connectionBreak) {
            disconnect(link.node, isSeen: true)
            if draw(0...1) == 0 {
                connect(link.node)
            } else {
                // What came is not what was sent: the transport makes no other connection by itself.
                let broken = WorkerEvent.connectionBroken("a byte was changed")
                let process = nodes[link.node].process
                schedule(.work(link.node, process: process, broken), in: draw(world.delay))
            }
            return
        }
        try travel(wire.encode(message), on: link, upwards: false)
    }

    private func travel(_ bytes: Data, on link: Link, upwards: Bool) throws {
        if strikes(.loss) || isCut(link.node, upwards: upwards) { return }
        var bytes = bytes
        if strikes(.corruption) {
            for _ in 0..<draw(1...4) {
                bytes[bytes.startIndex + draw(0...bytes.count - 1)] ^= UInt8(1 << draw(0...7))
            }
        }
        for _ in 0..<(strikes(.duplication) ? 2 : 1) {
            var arrival = now + Int64(draw(world.delay)) * 1_000_000
            let last = upwards ? nodes[link.node].lastUp : nodes[link.node].lastDown
            if strikes(.reordering) {
                arrival += Int64(draw(0...2000)) * 1_000_000
            } else {
                arrival = max(arrival, last)
                if upwards { nodes[link.node].lastUp = arrival } else { nodes[link.node].lastDown = arrival }
            }
            schedule(upwards ? .toCoordinator(bytes, link) : .toWorker(bytes, link), at: arrival)
        }
    }
}
