import Cluster
import ComputationGraph
import Coordination
import Datasets
import Dispatch
import Foundation
import Glibc
import Journal
import Logging
import Search
import Work
import ZeroMQ

/// A search without a model: one state that is measured on as many blocks of one sample as there are tasks.
struct LoadProblem {
    let division: SampleDivision

    /// The loss of every sample: exact in binary.
    static let loss = 0.5

    init(tasks: Int) throws {
        division = SampleDivision(
            sharding: try Sharding(samples: tasks, shards: 1, blockSize: 1),
            weights: [Float](repeating: 1, count: tasks))
    }

    func race(_ number: Int) -> LevelRace {
        let full = Expansion(
            parent: 0, unit: nil, variant: Variant(.empty), cost: Cost(parameters: 9, flops: 9))
        let level = Level(
            number: number, parents: [FrontierState(unmeasured: Variant(.empty), division)],
            expansions: [full], keep: 1, baseLoss: 0, objective: .absolute)
        return LevelRace(level, division: division, usesBounds: false)
    }

    var settings: CoordinatorSettings {
        CoordinatorSettings(
            run: RunDescription(
                session: 5 << 32, modelPath: "none", modelSHA256: [UInt8](repeating: 1, count: 32),
                dataPath: "none", dataSHA256: [UInt8](repeating: 2, count: 32), sampleLimit: nil,
                setup: "kl", sharding: division.sharding), softwareVersion: "load")
    }

    var identity: RunIdentity {
        RunIdentity(
            modelPath: "none", modelSHA256: "1", dataPath: "none", dataSHA256: "2", settings: "{}",
            version: "load", commandLine: CommandLine.arguments)
    }
}

/// A computation that computes nothing.
struct IdleWorker: Computation {
    let shards: [Int]

    func perform(_ key: WorkKey, hints: [UInt8], contents: any ContentAccess) throws -> [UInt8] {
        let item = try LossItem(payload: key.payload)
        let losses = [Float](repeating: Float(LoadProblem.loss), count: item.samples.count)
        return LossItem.result(item.units.map { _ in SampleScores(losses: losses, correct: []) })
    }

    /// So many workers in this process, each with a connection and threads of its own, until the run is over.
    static func run(count: Int, endpoint: String) throws {
        let context = try Context()
        let ended = DispatchGroup()
        var logger = Logger(label: "espalier.load.worker")
        logger.logLevel = .error
        for _ in 0..<count {
            let service = try WorkerService(
                endpoint: endpoint, isInsecure: true, softwareVersion: "load", context: context,
                logger: logger)
            ended.enter()
            Thread {
                _ = service.run { run, _ in IdleWorker(shards: Array(0..<run.sharding.shards)) }
                ended.leave()
            }.start()
        }
        ended.wait()
    }
}

/// CPU seconds of this process, user and system.
enum ProcessTime {
    static var now: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) {
            $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6
        }
    }
}
