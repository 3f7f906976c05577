// The embedded mode: found, started, told of, and never left behind.

import Foundation
import Testing

@testable import AgentKeeper

@Suite("The embedded daemon", .timeLimit(.minutes(15)))
struct EmbeddedTests {
    @Test("Two daemons at once don't meet, and each ends with its client")
    func two() async throws {
        let one = try await AgentKeeperClient.embedded()
        let two = try await AgentKeeperClient.embedded()
        #expect(one.address != two.address)
        try await one.createTask("one")
        #expect(try await two.tasks().isEmpty)
        let (first, second) = (try #require(one.daemon), try #require(two.daemon))
        #expect(first.isRunning && second.isRunning && isAlive(first.processID))
        await one.close()
        #expect(!first.isRunning && !isAlive(first.processID) && second.isRunning)
        #expect(first.logLines.contains { $0.hasSuffix("stopped") })
        #expect(await error { try await one.tasks() } == .clientClosed)
        await two.close()
        await two.close()
        #expect(!isAlive(second.processID))
    }

    @Test("A daemon whose client is let go of ends, too")
    func letGo() async throws {
        let daemon = try await EmbeddedDaemon.start()
        let pid = daemon.processID
        let second = try await { () in try await EmbeddedDaemon.start().processID }()
        await until { !isAlive(second) }
        #expect(isAlive(pid))
        await daemon.stop()
    }

    @Test(
        "No orphan is left behind by a parent that is killed, not even a daemon that is stopped",
        arguments: [false, true])
    func orphan(_ isStopped: Bool) async throws {
        let parent = try ProbeProcess("orphan")
        let words = try #require(await parent.line()).split(separator: " ")
        let pid = try #require(pid_t(words[0]))
        #expect(isAlive(pid))
        if isStopped { kill(pid, SIGSTOP) }
        parent.kill()
        await until { !isAlive(pid) }
        // It ended as it should: its port is closed.
        #expect(
            await error {
                var configuration = ClientConfiguration()
                configuration.waitsForReady = false
                try await AgentKeeperClient.withClient(of: String(words[1]), configuration: configuration) {
                    try await $0.waitUntilReady()
                }
            }?.code == .unavailable)
    }

    @Test("Heartbeats and renewals go on while code blocks every thread of Swift's pool")
    func blocking() async throws {
        let probe = try ProbeProcess("blocking", try await shared.daemon.address)
        #expect(await probe.line() == "ALIVE true true true")
        probe.kill()
    }

    @Test("A daemon inherits no file of ours, and so holds none of our ports")
    func inheritsNothing() async throws {
        // One that is not close-on-exec, as NIO's are not.
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let copy = fcntl(file, F_DUPFD, 900)
        defer { close(copy) }
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(copy)") == "/dev/null")
        try await AgentKeeperClient.withEmbedded { keeper in
            let pid = try #require(keeper.daemon?.processID)
            #expect(!FileManager.default.fileExists(atPath: "/proc/\(pid)/fd/\(copy)"))
            #expect(FileManager.default.fileExists(atPath: "/proc/\(pid)/fd/2"))
        }
    }

    @Test("A daemon that is killed is told of with its last words, at once, also to those who wait")
    func killed() async throws {
        try await AgentKeeperClient.withEmbedded { keeper in
            let daemon = try #require(keeper.daemon)
            let agent = try await keeper.register(AgentCard(name: "anna"), ttl: .seconds(600))
            let events = try await keeper.watch(WatchFilter(topics: ["nothing"]))
            let waiting = [
                Task { _ = try await keeper.claimTask(for: agent.id) },
                Task { for try await _ in events {} },
            ]
            let loop = Task { for await _ in agent.tasks() {} }
            kill(daemon.processID, SIGKILL)
            for task in waiting {
                let failure = await error { try await task.value }
                guard case .daemon(let message) = failure else {
                    Issue.record("found \(String(describing: failure))")
                    return
                }
                #expect(message.contains("signal 9 ended it") && message.contains("gRPC is served"))
            }
            await loop.value
            #expect(await error { try await keeper.find(timeout: .seconds(3_600)) }?.code == .unavailable)
            #expect(!daemon.isRunning)
        }
    }

    @Test("A daemon that does not start is told of with its last words")
    func failsToStart() async throws {
        let flag = await error { try await EmbeddedDaemon.start(EmbeddedOptions(arguments: ["--no-such-flag"])) }
        guard case .daemon(let message) = flag else {
            Issue.record("found \(String(describing: flag))")
            return
        }
        #expect(message.contains("it exited with 64") && message.contains("--no-such-flag"))
        let taken = try #require(Int(try await shared.daemon.address.split(separator: ":")[1]))
        let port = await error { try await EmbeddedDaemon.start(EmbeddedOptions(port: taken)) }
        #expect(port?.message.contains("another program listens there") == true)
        #expect(port?.code == .unavailable)
    }

    @Test("A program that is none, or says nothing, is told of")
    func noDaemon() async throws {
        let nothing = await error { try await EmbeddedDaemon.start(EmbeddedOptions(binary: "/nowhere/agentkeeper")) }
        #expect(nothing?.message == "the given path is no program that can be run: \"/nowhere/agentkeeper\"")
        let folder = await error { try await EmbeddedDaemon.start(EmbeddedOptions(binary: "/tmp")) }
        #expect(folder?.message == "the given path is no program that can be run: \"/tmp\"")
        let quiet = await error { try await EmbeddedDaemon.start(EmbeddedOptions(binary: "/bin/true")) }
        #expect(quiet?.message == "\"/bin/true\" did not start: it exited with 0; it wrote nothing")
        let silent = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Support/silent")
        var options = EmbeddedOptions(binary: silent.path)
        options.startTimeout = .zero
        #expect(await error { try await EmbeddedDaemon.start(options) }?.message.contains("is not ready after") == true)
    }

    @Test("The daemon is found where it was named, then in the environment, then in PATH, then where it was built")
    func found() throws {
        let programs: Set = ["/a", "/b", "/p2/agentkeeper", ".build/debug/agentkeeper"]
        func find(_ given: String?, _ environment: [String: String]) -> String {
            let result = Result { () throws(AgentKeeperError) in
                try DaemonBinary.find(given, environment: { environment[$0] }, isProgram: { programs.contains($0) })
            }
            return switch result {
            case .success(let path): path
            case .failure(let error): error.message
            }
        }
        #expect(find("/a", ["AGENTKEEPER_BIN": "/b"]) == "/a")
        #expect(find("/c", ["AGENTKEEPER_BIN": "/b"]).hasPrefix("the given path is no program"))
        #expect(find(nil, ["AGENTKEEPER_BIN": "/b", "PATH": "/p2"]) == "/b")
        #expect(find(nil, ["AGENTKEEPER_BIN": "/c", "PATH": "/p2"]).hasPrefix("AGENTKEEPER_BIN is no program"))
        #expect(find(nil, ["PATH": "/p1:/p2"]) == "/p2/agentkeeper")
        #expect(find(nil, ["PATH": "/p1"]) == ".build/debug/agentkeeper")
    }

    @Test("A shared daemon is started once, for whoever asks")
    func once() async throws {
        let daemon = SharedDaemon()
        async let one = daemon.daemon.processID
        async let two = daemon.daemon.processID
        #expect(try await one == two)
        try await daemon.withClient { try await $0.waitUntilReady() }
        try await daemon.daemon.stop()
    }

    @Test("The last lines of the log are kept, each up to a kilobyte")
    func log() {
        var log = LogLines()
        for number in 1...205 { log.append(Array("line \(number)\n".utf8)) }
        log.append(Array(String(repeating: "x", count: 2_000).utf8))
        log.end()
        #expect(log.lines.count == 200 && log.lines.first == "line 7" && log.lines.last?.count == 1_024)
        #expect(LogLines().excerpt == "it wrote nothing")
    }
}

func isAlive(_ pid: pid_t) -> Bool {
    // A zombie of another parent counts as ended.
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return text.split(separator: ")").last?.split(separator: " ").first != "Z"
}

/// Waits for something that no event tells of.
func until(_ condition: () -> Bool) async {
    while !condition(), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(10)) }
}

/// The probe, as a process that can be killed.
final class ProbeProcess: Sendable {
    private let process: ChildProcess

    init(_ arguments: String...) throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
        let environment = ProcessInfo.processInfo.environment.map { "\($0)=\($1)" }
        process = try ChildProcess.start(folder + "/AgentKeeperProbe", arguments, environment: environment)
    }

    /// The first line that it writes, without its end; nil when it writes none.
    func line() async -> String? {
        await firstLine(of: process.output)
    }

    func kill() {
        Glibc.kill(process.pid, SIGKILL)
        var status: CInt = 0
        waitpid(process.pid, &status, 0)
        for descriptor in [process.lifeline, process.output, process.errors] { close(descriptor) }
    }
}

/// The next line that can be read, without its end. Waits on a thread of its own, not on one of Swift's pool.
func firstLine(of descriptor: CInt) async -> String? {
    await withCheckedContinuation { continuation in
        Thread.detachNewThread {
            var line: [UInt8] = []
            var byte: UInt8 = 0
            while read(descriptor, &byte, 1) == 1 {
                guard byte != UInt8(ascii: "\n") else {
                    return continuation.resume(returning: String(decoding: line, as: UTF8.self))
                }
                line.append(byte)
            }
            continuation.resume(returning: nil)
        }
    }
}
