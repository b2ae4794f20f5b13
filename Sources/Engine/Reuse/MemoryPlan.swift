public import Datasets
internal import FoundationEssentials

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How the bytes that a process may take are divided: itself, the weights and a block in work come first; what is left
/// keeps activations between tasks.
public struct MemoryPlan: Sendable, Hashable {
    /// The bytes that the process may take.
    public let budget: Int
    /// About the bytes that it takes to compute a block.
    public let working: Int

    /// A plan for a process that takes `working` bytes to compute a block.
    public init(budget: Int, working: Int) {
        self.budget = budget
        self.working = working
    }

    /// A plan for blocks of some size.
    ///
    /// - Parameter samples: a block, which the unpruned model is run on once unless it has been already.
    /// - Throws: `EngineError` when the model does not run on the data.
    public init(budget: Int, network: Network, dataset: Dataset, samples: [Int]) throws {
        let shapes = try network.shapes(for: dataset, samples: samples)
        self.init(
            budget: budget,
            working: MemoryPlan.working(
                blockSize: samples.count, weights: network.weightBytes,
                sampleActivations: shapes.activationBytes / max(samples.count, 1)))
    }

    /// The bytes that evaluators may keep between tasks: what is left, but for a fifth of that, for what lies between
    /// allocations.
    public var kept: Int { max(0, budget - working) / 5 * 4 }

    /// About what a process takes to compute a block: itself, weights, activations, and as much again for an expansion.
    ///
    /// - Parameters:
    ///   - weights: the bytes of the weights.
    ///   - sampleActivations: the bytes of all values of one sample.
    public static func working(blockSize: Int, weights: Int, sampleActivations: Int) -> Int {
        let (activations, overflow) = (2 * sampleActivations).multipliedReportingOverflow(by: blockSize)
        return overflow || activations > 1 << 60 ? .max : weights * 2 + activations + processBytes
    }

    /// The largest share of `working` that the activations of a block take where nobody says how much memory there is. It is
    /// the same on all machines, since the block size decides the last bits of every loss.
    public static let usualActivations = 2 << 30

    /// What a process takes before any model is loaded.
    public static let processBytes = 300 << 20

    /// The budget of each of some processes that share this machine: their part of three quarters of its memory.
    public static func defaultBudget(processes: Int) -> Int {
        max(processBytes, machineBytes / 4 * 3 / max(processes, 1))
    }

    /// The memory of this machine, or of the control group that the process is confined to.
    public static let machineBytes: Int = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].compactMap {
            path in
            (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
                Int($0.prefix { !$0.isWhitespace })
            }
        }
        return limits.filter { $0 > 0 }.reduce(physical, min)
    }()
}
