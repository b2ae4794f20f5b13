internal import Coordination
internal import Foundation
internal import HeapModule
internal import Search
internal import Work

extension Simulator {
    // MARK: The coordinator's process

    /// What every simulated machine makes of the reference block.
    static let proof = [UInt8](repeating: 7, count: 32)

    func startCoordinator() {
        coordinatorNumber += 1
        var settings = CoordinatorSettings(run: run, softwareVersion: "1")
        settings.failureLimit = .max
        settings.firstLease = .seconds(10)
        settings.leaseFloor = .seconds(2)
        settings.noWorkersLimit = .seconds(100_000)
        // Tasks are chosen ahead in every other world; in the rest, only where blocks are many.
        settings.prefetchLimit = seed.isMultiple(of: 2) ? nil : .zero
        settings.shards = shardContents
        settings.proof = Simulator.proof
        if defect == .leasesNeverExpire {
            settings.firstLease = .seconds(1 << 32)
            settings.leaseFloor = .seconds(1 << 32)
        }
        configure(&settings)
        coordinator = Coordinator(settings)
        coordinatorClock = newClock()
        recorded = [:]
        for record in journal.reopen() { recorded[record.key.stage, default: []].append(record) }
        schedule(.tickCoordinator(coordinatorNumber), in: Simulator.pulse)
        note(1, "coordinator \(coordinatorNumber) starts")
    }

    private var run: RunDescription {
        RunDescription(
            session: UInt64(coordinatorNumber) << 32 | 7, modelPath: "model.onnx",
            modelSHA256: [UInt8](repeating: 1, count: 32), dataPath: "data.npz",
            dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil, setup: "kl",
            sharding: problem.problem.division.sharding,
            dataBudget: world.shardRoom.map { $0 * Simulator.shardSize })
    }

    /// Ends the coordinator's process and starts another after a while, on what the disk holds.
    func restartCoordinator() throws {
        if let coordinator { probes += coordinator.probes }
        coordinator = nil
        source = nil
        note(2, "coordinator \(coordinatorNumber) is gone")
        let back = now + Int64(draw(50...5000)) * 1_000_000
        while let next = agenda.min, next.at < back { try step() }
        startCoordinator()
        let lost = promised.subtracting(journal.durable)
        guard lost.isEmpty else {
            throw SimulationFailure("\(lost.count) results were acknowledged and are lost")
        }
    }

    // MARK: Sources

    func run(_ start: any WorkSource) throws -> any WorkSource {
        outcome = nil
        failure = nil
        var source = start
        if var race = source as? LevelRace {
            switch defect {
            case .foldsTwice: race.defect = .foldsTwice
            case .sumsInOrderOfArrival: race.defect = .sumsInOrderOfArrival
            case .acknowledgesBeforeJournaling, .leasesNeverExpire, nil: break
            }
            source = race
        }
        self.source = source
        note(3, "stage \(source.stage) begins: \(source.kind)")
        try tell(.begin(source, recorded: recorded[source.stage] ?? []))
        while outcome == nil {
            if let failure { throw failure }
            try step()
        }
        self.source = nil
        return outcome!
    }

    // MARK: Events

    func happen(_ event: Event) throws {
        switch event {
        case .toCoordinator(let bytes, let link): try arriveAtCoordinator(bytes, link, event)
        case .linkLost(let link):
            // The end of a process breaks its connections without anyone there to be told.
            if link.coordinator == coordinatorNumber, coordinator != nil {
                try tell(.disconnected(link.connection))
            }
        case .tickCoordinator(let number):
            guard number == coordinatorNumber, coordinator != nil else { return }
            schedule(event, in: Simulator.pulse)
            try tickCoordinator()
        case .toWorker(let bytes, let link):
            guard nodes[link.node].link == link.number else { return }
            let received: WorkerEvent
            do throws(WireError) {
                received = .received(try wire.decodeCoordinatorMessage(bytes))
            } catch { received = .malformed(error) }
            try happenToWorker(link.node, received, as: event)
        case .work(let index, let process, let workerEvent):
            guard nodes[index].process == process else { return }
            try happenToWorker(index, workerEvent, as: event)
        case .tickWorker(let index, let process):
            guard nodes[index].process == process else { return }
            try tickWorker(index, process: process)
        case .connect(let index, let process):
            guard nodes[index].process == process else { return }
            connect(index)
            try happenToWorker(index, .connected, as: .work(index, process: process, .connected))
        case .restart(let index): restart(index)
        case .resume(let index):
            nodes[index].isPaused = false
            let waiting = nodes[index].waiting
            nodes[index].waiting = []
            for event in waiting { try happen(event) }
        }
    }

    private func arriveAtCoordinator(_ bytes: Data, _ link: Link, _ event: Event) throws {
        // What was sent to one process may be delivered to the next: the transport connects again by itself.
        guard nodes[link.node].link == link.number else { return }
        guard coordinator != nil else {
            if draw(0...1) == 0 { schedule(event, in: draw(100...2000)) }
            return
        }
        if now < coordinatorPausedUntil { return schedule(event, at: coordinatorPausedUntil) }
        let connection = Link(node: link.node, number: link.number, coordinator: coordinatorNumber).connection
        let received: CoordinatorEvent
        do throws(WireError) {
            received = .received(try wire.decodeWorkerMessage(bytes), from: connection)
        } catch { received = .malformed(error, from: connection) }
        try tell(received)
    }

    private func tickCoordinator() throws {
        if strikes(.coordinatorCrash) { throw Crash() }
        if strikes(.coordinatorClockJump) { coordinatorClock.jump(byMilliseconds: draw(100...1_000_000)) }
        if strikes(.coordinatorClockSetBack) { coordinatorClock.jump(byMilliseconds: -draw(100...30_000)) }
        if strikes(.strangerAsks) { try askAsStranger() }
        if strikes(.strangerTalks) { try talkAsStranger() }
        if strikes(.coordinatorPause) { coordinatorPausedUntil = now + Int64(draw(500...10_000)) * 1_000_000 }
        if now >= coordinatorPausedUntil { try tell(.tick) }
    }

    /// Tells the coordinator, and does what it wants done, in its order.
    func tell(_ event: CoordinatorEvent) throws {
        let actions = coordinator?.handle(event, at: coordinatorClock.reading(at: now)) ?? []
        if counts.events % world.checkInterval == 0 { try coordinator?.validateState() }
        let isSwapped = defect == .acknowledgesBeforeJournaling
        do {
            for action in isSwapped ? actions.filter(\.isAcknowledgement) : [] { try perform(action) }
            for action in actions where !isSwapped || !action.isAcknowledgement { try perform(action) }
        } catch is DiskFull {
            // The run ends with an error, in peace or not; it is resumed when there is room again.
            try tell(.abandon)
            if draw(0...1) == 0 { try tell(.stop(reason: "the disk is full")) }
            throw Crash()
        }
    }

    private func perform(_ action: CoordinatorAction) throws {
        switch action {
        case .send(let message, let connection):
            switch message {
            case .task(let order): try check(order)
            case .acknowledged(let id): promise(id)
            default: break
            }
            note(Link(connection).node << 8 | 5, "→ \(Link(connection).node): \(brief(message))")
            try sendDown(message, to: connection)
        case .journal(let record):
            if strikes(.crashBeforeWrite) { throw Crash() }
            if strikes(.crashWithinWrite) {
                journal.write(record, share: Double(draw(1...999)) / 1000)
                throw Crash()
            }
            if strikes(.diskFull) {
                journal.write(record, share: Double(draw(0...999)) / 1000)
                throw DiskFull()
            }
            journal.write(record)
            if strikes(.crashAfterWrite) { throw Crash() }
        case .finished(let source): outcome = source
        case .fail(let error): failure = error
        case .log(_, let text):
            if text.contains("hands over") { counts.handovers += 1 }
            note(6, text)
        case .serve(let request, let connection):
            let chunk = Chunk(
                sha256: request.sha256, offset: request.offset, bytes: Data(count: request.count))
            try sendDown(.chunk(chunk), to: connection)
        case .report(let connection): reports.append(connection)
        // Simulated machines all compute the same bits.
        case .close, .note: break
        }
    }

    // MARK: Promises

    /// What is kept is never handed out again.
    private func check(_ order: WorkOrder) throws {
        counts.assignments += 1
        orders[order.id] = order
        guard let known = atoms(of: order.key).first(where: journal.durable.contains) else { return }
        throw SimulationFailure("\(order.id): \(known) is kept, and is to be computed again")
    }

    /// An acknowledgement of a result of this source says that it is kept.
    private func promise(_ id: AttemptID) {
        guard let order = orders[id], !failed.contains(id), var source,
            case .part(let item, _) = source.adopt(
                WorkRecord(key: order.key, result: result(of: order.key)))
        else { return }
        promised.formUnion(atoms(of: item.key))
    }

    private func brief(_ message: CoordinatorMessage) -> String {
        switch message {
        case .welcome: "welcome"
        case .task(let order): "\(order.id): \(atoms(of: order.key).map(\.text))"
        default: "\(message)"
        }
    }
}

extension CoordinatorAction {
    fileprivate var isAcknowledgement: Bool {
        if case .send(.acknowledged, _) = self { true } else { false }
    }
}
