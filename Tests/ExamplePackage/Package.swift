// swift-tools-version: 6.2
// A package that uses AgentKeeper as a stranger's would: built and run by `make test`. Every Swift example in the README
// and in the SDK's documentation is in here, word for word; a test of the SDK sees to that.
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
    name: "scrapers",
    dependencies: [
        .package(name: "agentkeeper", path: "../..")
    ],
    targets: [
        .target(
            name: "Scrapers",
            dependencies: [.product(name: "AgentKeeper", package: "agentkeeper")],
            swiftSettings: strict),
        .testTarget(name: "ScrapersTests", dependencies: ["Scrapers"], swiftSettings: strict),
    ]
)
