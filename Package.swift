// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// libtorch comes from Debian's `libtorch-dev` unless `TORCH_HOME` names another installation
/// (a folder with `include/` and `lib/`, e.g. the `torch` package of a Python environment).
let torchHome = ProcessInfo.processInfo.environment["TORCH_HOME"]

let torchHeaders: [CXXSetting] =
    torchHome.map { [.unsafeFlags(["-I\($0)/include", "-I\($0)/include/torch/csrc/api/include"])] } ?? []
let torchLibraries: [LinkerSetting] =
    (torchHome.map { [.unsafeFlags(["-L\($0)/lib", "-Xlinker", "-rpath", "-Xlinker", "\($0)/lib"])] } ?? [])
    + [.linkedLibrary("torch"), .linkedLibrary("torch_cpu"), .linkedLibrary("c10")]

/// `Scripts/fuzz` builds one more executable, against libFuzzer from the toolchain that `ESPALIER_FUZZ` names, and counts
/// what its inputs reach of this package's own code.
let fuzzToolchain = ProcessInfo.processInfo.environment["ESPALIER_FUZZ"]
let fuzzSettings: [SwiftSetting] =
    fuzzToolchain == nil ? [] : [.unsafeFlags(["-Xfrontend", "-sanitize=fuzzer"])]

let swiftSettings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .treatAllWarnings(as: .error),
    ] + fuzzSettings

/// Debug builds are optimised as well where the tests' time is spent, though it takes three times as long to compile; the
/// tests themselves and what is about a search are not. Where `ESPALIER_DEBUGGER` is set nothing is, for a debugger to see
/// every variable.
let sourceSettings: [SwiftSetting] =
    swiftSettings
    + (ProcessInfo.processInfo.environment["ESPALIER_DEBUGGER"] == nil
        ? [.unsafeFlags(["-O"], .when(configuration: .debug))] : [])

let fuzzTargets: [Target] =
    fuzzToolchain.map { toolchain in
        let folder = "\(toolchain)/lib/clang"
        let version = (try? FileManager.default.contentsOfDirectory(atPath: folder))?.max() ?? ""
        #if arch(arm64)
            let library = "\(folder)/\(version)/lib/linux/libclang_rt.fuzzer_no_main-aarch64.a"
        #else
            let library = "\(folder)/\(version)/lib/linux/libclang_rt.fuzzer_no_main-x86_64.a"
        #endif
        return [
            .executableTarget(
                name: "espalier-fuzz",
                dependencies: [
                    "ONNX", "ComputationGraph", "Datasets", "Search", "Coordination", "Journal", "Work",
                    "Engine", "Pruning",
                ],
                path: "Tests/Fuzz", swiftSettings: swiftSettings,
                linkerSettings: [.unsafeFlags([library]), .linkedLibrary("stdc++"), .linkedLibrary("m")])
        ]
    } ?? []

let package = Package(
    name: "espalier",
    products: [
        .executable(name: "espalier", targets: ["espalier"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    ],
    targets: [
        // C and C++ at the bottom: nothing above `Torch` sees libtorch, nothing above `ZeroMQ` sees libzmq.
        .target(
            name: "CTorch",
            cxxSettings: torchHeaders + [.unsafeFlags(["-O2"], .when(configuration: .debug))],
            linkerSettings: torchLibraries),
        .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"])]),

        .target(name: "Files", swiftSettings: sourceSettings),
        .target(name: "Torch", dependencies: ["CTorch"], swiftSettings: sourceSettings),
        .target(name: "ZeroMQ", dependencies: ["CZeroMQ"], swiftSettings: swiftSettings),
        .target(
            name: "ONNX",
            dependencies: ["Files", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
            exclude: ["onnx.proto"],
            swiftSettings: sourceSettings),
        .target(name: "Variants", swiftSettings: sourceSettings),
        .target(name: "Work", swiftSettings: sourceSettings),
        .target(name: "Training", dependencies: ["Variants", "Work"], swiftSettings: sourceSettings),
        .target(
            name: "ComputationGraph",
            dependencies: [
                "ONNX", "Variants", .product(name: "BitCollections", package: "swift-collections"),
            ], swiftSettings: sourceSettings),
        .target(name: "Datasets", dependencies: ["Files", "CZlib"], swiftSettings: sourceSettings),
        .target(
            name: "Engine",
            dependencies: ["Torch", "ComputationGraph", "Datasets", "Files", "ONNX", "Training", "Work"],
            swiftSettings: sourceSettings),
        .target(
            name: "Search",
            dependencies: [
                "ComputationGraph", "Datasets", "Training", "Work",
                .product(name: "OrderedCollections", package: "swift-collections"),
            ],
            swiftSettings: sourceSettings),
        .target(
            name: "Journal",
            dependencies: [
                "CSodium", "Files", "Work",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "Coordination",
            dependencies: [
                "CSodium", "Datasets", "Work",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
                .product(name: "OrderedCollections", package: "swift-collections"),
            ], exclude: ["coordination.proto"],
            swiftSettings: sourceSettings),
        .target(
            name: "Cluster",
            dependencies: [
                "Coordination", "Work", "Journal", "Datasets", "ONNX", "ZeroMQ", "COpenSSL", "Files",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "Computations",
            dependencies: [
                "Cluster", "Coordination", "Work", "Search", "Engine", "Datasets", "ONNX", "ComputationGraph",
                "Training",
            ], swiftSettings: swiftSettings),
        .target(
            name: "Report", dependencies: ["Journal", "Search", "ComputationGraph", "Datasets", "Files"],
            swiftSettings: swiftSettings),
        .target(
            name: "Pruning",
            dependencies: [
                "Cluster", "Computations", "Coordination", "Report", "Engine", "Search", "Journal",
                "Datasets",
                "ComputationGraph", "ONNX", "Files", "Work", "Training",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "espalier",
            dependencies: [
                "Pruning", "Cluster", "Computations", "Coordination", "Journal", "Report", "Engine", "Search",
                "Datasets", "ComputationGraph", "ONNX", "Files", "Training",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: swiftSettings),

        // The simulator: the real state machines on a simulated clock, network and disk.
        .target(
            name: "Simulation",
            dependencies: [
                "Coordination", "Search", "ComputationGraph", "Datasets", "ONNX", "Training", "Work",
                .product(name: "HeapModule", package: "swift-collections"),
            ], path: "Tests/Simulation", swiftSettings: sourceSettings),
        .executableTarget(
            name: "espalier-simulate", dependencies: ["Simulation"], path: "Tests/Simulate",
            swiftSettings: sourceSettings),

        // The coordinator under tasks that compute nothing; Scripts/bench/load.py compares it with others.
        .executableTarget(
            name: "espalier-load",
            dependencies: [
                "Cluster", "Coordination", "Search", "Journal", "Datasets", "ComputationGraph", "Work",
                "ZeroMQ",
                .product(name: "Logging", package: "swift-log"),
            ], path: "Tests/Load", swiftSettings: swiftSettings),

        .testTarget(name: "VariantsTests", dependencies: ["Variants"], swiftSettings: swiftSettings),
        .testTarget(name: "TrainingTests", dependencies: ["Training", "Work"], swiftSettings: swiftSettings),
        .testTarget(name: "WorkTests", dependencies: ["Work"], swiftSettings: swiftSettings),
        .testTarget(name: "FilesTests", dependencies: ["Files"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ONNXTests", dependencies: ["ONNX"], exclude: ["Fixtures"], swiftSettings: swiftSettings),
        .testTarget(
            name: "DatasetsTests", dependencies: ["Datasets"], exclude: ["Fixtures"],
            swiftSettings: swiftSettings),
        .testTarget(name: "ZeroMQTests", dependencies: ["ZeroMQ"], swiftSettings: swiftSettings),
        .testTarget(name: "TorchTests", dependencies: ["Torch"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ComputationGraphTests", dependencies: ["ComputationGraph", "ONNX"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "EngineTests",
            dependencies: ["Engine", "ComputationGraph", "ONNX", "Datasets", "Torch", "Training", "Work"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "SearchTests", dependencies: ["Search", "ComputationGraph", "Datasets", "ONNX", "Work"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "JournalTests",
            dependencies: ["Journal", "Work", .product(name: "GRDB", package: "GRDB.swift")],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "ReportTests", dependencies: ["Report", "Search", "ComputationGraph", "Datasets", "ONNX"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "CoordinationTests",
            dependencies: ["Coordination", "Simulation", "Search", "ComputationGraph", "Datasets", "Work"],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "ClusterTests",
            dependencies: [
                "Cluster", "Coordination", "Search", "ComputationGraph", "Datasets", "Work", "ZeroMQ",
            ],
            swiftSettings: swiftSettings),
    ] + fuzzTargets,
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: torchHome == nil ? .cxx17 : .cxx20
)
