internal import OrderedCollections

/// The connections in the order in which they came, and those of them that could take another task: with a thousand
/// workers, looking through all of them after every result would cost more than everything else.
struct PeerTable: Sendable, Sequence {
    private var table: OrderedDictionary<ConnectionID, Peer> = [:]
    private var open: Set<ConnectionID> = []
    private let credit: Int
    /// How many workers are ready.
    private(set) var readyCount = 0
    /// Counts changes of who is there, how far they are, and which shards they are to hold.
    private(set) var version = 0

    /// No one yet; a worker may have `credit` tasks at once.
    init(credit: Int) { self.credit = credit }

    var keys: OrderedSet<ConnectionID> { table.keys }
    var values: OrderedDictionary<ConnectionID, Peer>.Values { table.values }
    var count: Int { table.count }

    func makeIterator() -> OrderedDictionary<ConnectionID, Peer>.Iterator { table.makeIterator() }

    subscript(connection: ConnectionID) -> Peer? { table[connection] }

    /// Puts a peer in the place of who was on the connection before, or last.
    mutating func set(_ peer: Peer, for connection: ConnectionID) {
        let before = Standing(table.updateValue(peer, forKey: connection))
        note(connection, before, Standing(peer))
    }

    /// Changes the peer of a connection where it is, if there is one.
    mutating func update(_ connection: ConnectionID, _ change: (inout Peer) -> Void) {
        guard let place = table.index(forKey: connection) else { return }
        let before = Standing(table.values[place])
        change(&table.values[place])
        note(connection, before, Standing(table.values[place]))
    }

    /// - Returns: the peer that was there.
    mutating func removeValue(forKey connection: ConnectionID) -> Peer? {
        let before = Standing(table[connection])
        defer { note(connection, before, Standing(nil)) }
        return table.removeValue(forKey: connection)
    }

    /// The ready workers that have `load` tasks, less than their credit, in the order in which they came.
    func open(with load: Int) -> [ConnectionID] {
        var found: [(place: Int, connection: ConnectionID)] = []
        for connection in open {
            guard let place = table.index(forKey: connection),
                table.values[place].outstanding.count == load
            else { continue }
            found.append((place, connection))
        }
        return found.sorted { $0.place < $1.place }.map(\.connection)
    }

    /// What the table keeps count of.
    private struct Standing: Equatable {
        let phase: WorkerStatus.Phase?
        let load: Int
        let assigned: Int

        init(_ peer: Peer?) {
            phase = peer?.phase
            load = peer?.outstanding.count ?? 0
            assigned = peer?.assigned.count ?? 0
        }
    }

    private mutating func note(_ connection: ConnectionID, _ before: Standing, _ after: Standing) {
        guard before != after else { return }
        if before.phase != after.phase || before.assigned != after.assigned { version += 1 }
        readyCount += (after.phase == .ready ? 1 : 0) - (before.phase == .ready ? 1 : 0)
        if after.phase == .ready, after.load < credit {
            open.insert(connection)
        } else {
            open.remove(connection)
        }
    }
}
