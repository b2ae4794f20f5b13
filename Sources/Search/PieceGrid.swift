internal import Work

/// Work that is fixed beforehand: rows of pieces, each row with a piece for every block, in the order in which they are
/// handed out.
///
/// A piece's number is its row times the number of blocks, plus the place of its block.
struct PieceGrid: Sendable {
    private enum Status { case open, out, known }

    /// The block of each column, in canonical order.
    private let blocks: [BlockID]
    private let places: [BlockID: Int]
    private var statuses: [Status]
    private var left: Int
    /// All pieces before this one are known.
    private var cursor = 0

    /// Pieces that are all open.
    init(rows: Int, blocks: [BlockID]) {
        self.blocks = blocks
        places = blocks.places
        left = rows * blocks.count
        statuses = [Status](repeating: .open, count: left)
    }

    /// Whether all pieces are known.
    var isComplete: Bool { left == 0 }
    /// The pieces that are known, and all of them.
    var progress: (done: Int, total: Int) { (statuses.count - left, statuses.count) }

    /// A piece's row and its place in it.
    func position(of piece: Int) -> (row: Int, place: Int) {
        let (row, place) = piece.quotientAndRemainder(dividingBy: blocks.count)
        return (row, place)
    }

    /// The piece of a row at a place.
    func piece(row: Int, place: Int) -> Int { row * blocks.count + place }

    /// The place of a block; `nil` for a block that is none of the grid's.
    func place(of block: BlockID) -> Int? { places[block] }

    /// Whether a piece is still unknown.
    func needs(_ piece: Int) -> Bool { statuses[piece] != .known }

    /// Hands out the first piece that suits the worker, or else the first that it may be given.
    ///
    /// - Parameter locality: of a piece; its block's unless given.
    mutating func next(for worker: WorkerView, locality: ((Int) -> UInt64)? = nil) -> Int? {
        while cursor < statuses.count, statuses[cursor] == .known { cursor += 1 }
        var found: Int?
        for piece in cursor..<statuses.count where statuses[piece] == .open {
            let block = blocks[piece % blocks.count]
            guard worker.holds(block.shard) else { continue }
            let isPreferred = worker.prefers(locality?(piece) ?? block.locality)
            if isPreferred || found == nil { found = piece }
            // Far ahead of the others nothing is worth waiting for.
            if isPreferred || piece - cursor > 4 * blocks.count { break }
        }
        if let found { statuses[found] = .out }
        return found
    }

    /// Takes note that a piece is known.
    ///
    /// - Returns: whether it was not before.
    mutating func learn(_ piece: Int) -> Bool {
        guard needs(piece) else { return false }
        statuses[piece] = .known
        left -= 1
        return true
    }

    /// Makes a piece that is out available again.
    mutating func giveBack(_ piece: Int) {
        if statuses[piece] == .out { statuses[piece] = .open }
    }
}
