// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6, complete concurrency checking, and a warning stops the build.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "agentkeeper",
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0")
    ],
    targets: [
        // The system's C libraries.
        .systemLibrary(name: "CNghttp2", pkgConfig: "libnghttp2", providers: [.apt(["libnghttp2-dev"])]),
        .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),

        // What protoc-c makes of protos/; never edited, renewed by `make protos`.
        .target(name: "CMessages", dependencies: ["CProtobufC"]),

        .target(
            name: "Coordination",
            dependencies: [.product(name: "DequeModule", package: "swift-collections")],
            swiftSettings: strict),
        .target(name: "HTTP2", dependencies: ["CNghttp2"], swiftSettings: strict),

        .testTarget(name: "CoordinationTests", dependencies: ["Coordination"], swiftSettings: strict),
        .testTarget(name: "HTTP2Tests", dependencies: ["HTTP2", "CNghttp2"], swiftSettings: strict),
    ]
)
