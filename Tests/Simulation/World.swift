internal import Search

/// How rough the simulated world is. Times are in milliseconds.
public struct World: Sendable {
    /// Worker processes; each that ends is replaced.
    public var workers = 3
    /// How long a message travels.
    public var delay = 1...20
    /// How long a task computes.
    public var computing = 5...60
    /// How long model and data take to load.
    public var loading = 10...500
    /// The chance of each fault wherever it can strike: a message, a task, a moment.
    public var chances: [Fault: Double] = [:]
    /// Faults end here, so that a run cannot go on for ever.
    public var faultLimit = 40
    /// Workers beyond the first hold only some of the shards.
    public var hasPartialShards = false
    /// The coordinator says who holds which shards, so many each; `nil` where workers load the data themselves.
    public var shardRoom: Int?
    /// Every machine's clock has its own origin and is up to this share faster or slower than the others.
    public var drift = 0.0
    /// The state machines check themselves after every so many events.
    public var checkInterval = 1

    /// A quiet world.
    public init() {}

    /// A world whose faults depend on the seed.
    public init(seed: UInt64) {
        var random = SplitMix64(seed: seed ^ 0x5EED)
        func draw(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &random) }
        workers =
            switch seed % 2000 {
            case 1999: draw(300...1000)
            case let rest where rest % 100 == 99: draw(12...60)
            default: draw(1...5)
            }
        // A quarter of the worlds have one kind of fault, the others several: some faults hide others.
        let kinds = draw(0...3) == 0 ? 1 : draw(2...8)
        for fault in Fault.allCases.shuffled(using: &random).prefix(kinds) {
            chances[fault] = fault.chance * [0.3, 1, 1, 3][draw(0...3)]
        }
        faultLimit = draw(1...40)
        hasPartialShards = draw(0...3) == 0
        if draw(0...3) == 0 { shardRoom = draw(1...3) }
        drift = draw(0...2) == 0 ? 0.2 : 0
        delay = draw(0...3) == 0 ? 1...400 : 1...20
        if workers > 60 {
            checkInterval = 200
            faultLimit = 20
        }
    }
}

extension Fault {
    /// A chance that lets most runs meet the fault a few times.
    fileprivate var chance: Double {
        switch self {
        case .loss, .corruption, .connectionBreak, .unseenConnectionBreak: 0.02
        case .duplication, .reordering: 0.1
        case .partition, .partitionOfOneDirection: 0.01
        case .workerCrash, .workerPause, .taskFailure, .straggler: 0.06
        case .hang: 0.03
        case .loadFailure, .slowStart: 0.2
        case .workerClockJump, .workerClockSetBack, .coordinatorClockJump, .coordinatorClockSetBack,
            .coordinatorPause, .coordinatorCrash:
            0.02
        case .crashBeforeWrite, .crashWithinWrite, .crashAfterWrite, .diskFull: 0.06
        case .strangerAsks, .strangerTalks: 0.1
        }
    }
}
