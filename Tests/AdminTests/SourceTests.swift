import Foundation
import Testing

@testable import Admin
@testable import Coordination

@Suite struct SourceTests {
    static let promtool = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/promtool" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    func samples(_ source: MetricsSource) -> [String: String] {
        var writer = MetricsWriter()
        source(&writer)
        let lines = String(buffer: writer.text).split(separator: "\n").filter { !$0.hasPrefix("#") }
        return Dictionary(
            uniqueKeysWithValues: lines.compactMap { line in
                line.lastIndex(of: " ").map { (String(line[..<$0]), String(line[line.index(after: $0)...])) }
            })
    }

    @Test func `The process is measured`() throws {
        let now = Date().timeIntervalSince1970
        let samples = samples { processMetrics(&$0) }
        let value = { (name: String) in try #require(samples[name].flatMap(Double.init)) }
        #expect(try value("process_cpu_seconds_total") > 0)
        #expect(try value("process_resident_memory_bytes") > 1_000_000)
        #expect(try value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"))
        #expect(try value("process_threads") >= 1)
        #expect(try value("process_open_fds") >= 3)
        #expect(try value("process_max_fds") >= value("process_open_fds"))
        #expect(try (now - 86_400...now + 1).contains(value("process_start_time_seconds")))
    }

    @Test func `A process may be named as it likes`() {
        let stat = "12 (a) R (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 7 18 1900 2000 21 22 23\n"
        let process = ProcessStat(stat)
        #expect(process?.threads == 7 && process?.startedAtTicks == 1_900)
        #expect(process?.virtualBytes == 2_000 && process?.residentPages == 21)
    }

    @Test(arguments: ["", "12", "12 (a", "12 (a) S 1 2", "12 (a) S" + String(repeating: " x", count: 40)])
    func `A line of another shape is left alone`(stat: String) {
        #expect(ProcessStat(stat) == nil)
    }

    @Test func `What cannot be read is left out`() {
        #expect(contents(of: "/nowhere/stat") == nil && contents(of: "/") == nil)
        #expect(entryCount(ofDirectory: "/nowhere") == nil)
        #expect(bootTimeSeconds(inStat: "cpu 1 2\n") == nil)
        #expect(bootTimeSeconds(inStat: "cpu 1 2\nbtime 170\nprocesses 3\n") == 170)
    }

    @Test func `The build names itself`() {
        #expect(
            samples(buildMetrics(version: "1.2.3", nghttp2Version: "1.52.0"))
                == [#"agentkeeper_build_info{version="1.2.3",nghttp2_version="1.52.0"}"#: "1"])
    }

    @Test func `Agents count as alive until they are dead`() {
        let samples = samples(
            coreMetrics {
                var counts = Counts()
                counts.agentsAlive = 3
                counts.agentsUnreachable = 2
                counts.agentsDead = 7
                counts.leases = 5
                counts.eventsEmitted = [(.agentDied, 7)]
                return (counts, Span(nanoseconds: 1_500_000_000))
            })
        #expect(samples["agentkeeper_agents_alive"] == "5")
        #expect(samples[#"agentkeeper_agents{status="unreachable"}"#] == "2")
        #expect(samples["agentkeeper_leases_active"] == "5")
        #expect(samples["agentkeeper_tasks_oldest_pending_age_seconds"] == "1.5")
        #expect(samples[#"agentkeeper_events_total{topic="agent.died"}"#] == "7")
    }

    @Test(.enabled(if: promtool != nil, "promtool is not installed"))
    func `promtool has nothing to say`() throws {
        var writer = MetricsWriter()
        processMetrics(&writer)
        buildMetrics(version: "1.2.3 \"x\" \\ \n", nghttp2Version: "1.52.0")(&writer)
        coreMetrics {
            var counts = Counts()
            counts.eventsEmitted = Topic.allCases.map { ($0, 1) }
            return (counts, nil)
        }(&writer)
        writer.histogram(
            "agentkeeper_rpc_duration_seconds", "Time.", labels: ["method"], upperBounds: [5e-06, 0.001, 1, 10]
        ) { $0.add(["/a/b"], counts: [1, 2, 3, 4, 5], sum: 1e-07) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(Self.promtool))
        process.arguments = ["check", "metrics"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(writer.text.readableBytesView))
        try input.fileHandleForWriting.close()
        let said = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(String(decoding: said, as: UTF8.self) == "" && process.terminationStatus == 0)
    }
}
