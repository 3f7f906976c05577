// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6, complete concurrency checking, and a warning stops the build.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "agentkeeper",
    products: [
        .executable(name: "agentkeeper", targets: ["Daemon"]),
        .library(name: "AgentKeeper", targets: ["AgentKeeper"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
    ],
    targets: [
        // The system's C libraries.
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
        .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CLinux"),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),

        // What protoc-c makes of protos/; never edited, renewed by `make protos`.
        .target(name: "CMessages", dependencies: ["CProtobufC"]),

        .target(
            name: "Coordination",
            dependencies: [deque],
            swiftSettings: strict),
        .target(
            name: "Journal",
            dependencies: ["Coordination", "CLinux", "CSQLite", "CZlib", deque],
            swiftSettings: strict),
        .target(name: "HTTP2", dependencies: ["CNghttp2"], swiftSettings: strict),
        .target(
            name: "RPC",
            dependencies: [
                "HTTP2", "CMessages", "CProtobufC", "CZlib", nioCore, nioPosix, deque,
            ],
            swiftSettings: strict),
        .target(
            name: "Services",
            dependencies: ["RPC", "Coordination", "CMessages", "CProtobufC", "CSodium", nioCore],
            swiftSettings: strict),
        // What dashboard/ holds, as bytes: the page is a part of the program.
        .target(name: "CDashboard"),
        .target(name: "JSON", swiftSettings: strict),
        .target(
            name: "Admin",
            dependencies: ["Coordination", "CDashboard", "CSodium", "JSON", nioCore, nioPosix, nioHTTP1],
            swiftSettings: strict),
        // The command line as a client: what Swift can't do with processes in C, the rest on the SDK.
        .target(name: "CProcess"),
        .target(
            name: "Commands",
            dependencies: [
                "AgentKeeper", "CProcess", "JSON", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "Daemon",
            dependencies: [
                "Commands", "CProcess", "Services", "Admin", "RPC", "HTTP2", "Journal", "Coordination", "JSON",
                "CLinux",
                "CSodium", nioCore, nioPosix, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // The SDK: the only target whose declarations are public. Nothing that it imports shows in them.
        .target(
            name: "AgentKeeper",
            dependencies: ["RPC", "CMessages", "CProtobufC", "CLinux", nioCore, nioPosix],
            swiftSettings: strict + [.enableUpcomingFeature("InternalImportsByDefault")]),

        // What tries to break the core and the journal: for `swift test`, and by itself for long runs.
        .target(
            name: "Simulation", dependencies: ["Coordination", "Journal", "CSQLite"], path: "Tests/Simulation",
            swiftSettings: strict),
        .executableTarget(
            name: "simulate", dependencies: ["Simulation"], path: "Tests/Simulate", swiftSettings: strict),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation"], swiftSettings: strict),

        .testTarget(name: "CoordinationTests", dependencies: ["Coordination"], swiftSettings: strict),
        .testTarget(
            name: "JournalTests", dependencies: ["Journal", "Coordination", "CSQLite", "CZlib"], swiftSettings: strict),
        .testTarget(name: "HTTP2Tests", dependencies: ["HTTP2", "CNghttp2"], swiftSettings: strict),
        .testTarget(
            name: "RPCTests",
            dependencies: ["RPC", "HTTP2", "CMessages", "CProtobufC", nioCore, nioEmbedded, nioPosix],
            exclude: ["Support"], swiftSettings: strict),
        .testTarget(
            name: "AdminTests", dependencies: ["Admin", "CDashboard", "Coordination", nioCore, nioPosix, nioHTTP1],
            swiftSettings: strict),
        .testTarget(
            name: "AgentKeeperTests", dependencies: ["AgentKeeper", "AgentKeeperProbe", nioCore, nioPosix],
            exclude: ["Support"], swiftSettings: strict),
        // A process for them to kill, and to block.
        .executableTarget(
            name: "AgentKeeperProbe", dependencies: ["AgentKeeper"], path: "Tests/AgentKeeperProbe",
            swiftSettings: strict),
    ]
)
