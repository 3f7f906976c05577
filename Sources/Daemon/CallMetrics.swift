// What `/metrics` tells of the calls and of the watchers.

import Admin
import Coordination
import Journal
import RPC
import Services

func rpcMetrics(_ server: Server, maxConnections: Int) -> MetricsSource {
    { writer in
        let snapshot = server.snapshot()
        writeCalls(snapshot.methods, to: &writer)
        writer.gauge("agentkeeper_connections_open", "gRPC connections that are open.", snapshot.openConnections)
        writer.gauge("agentkeeper_connections_max", "gRPC connections that may be open at once.", maxConnections)
        writer.counter(
            "agentkeeper_connections_total", "gRPC connections that were accepted.", snapshot.acceptedConnections)
        writer.counter(
            "agentkeeper_connections_refused_total", "gRPC connections that were refused, over the limit.",
            snapshot.refusedConnections)
        writer.counter(
            "agentkeeper_connections_abusive_total",
            "gRPC connections that were ended because the peer broke the protocol or flooded it.",
            snapshot.abusiveConnections)
        writer.gauge(
            "agentkeeper_streams_open", "HTTP/2 streams that are open, one for each call.", snapshot.openStreams)
        writer.counter("agentkeeper_received_bytes_total", "Bytes that gRPC clients sent.", snapshot.receivedBytes)
        writer.counter("agentkeeper_sent_bytes_total", "Bytes that were sent to gRPC clients.", snapshot.sentBytes)
    }
}

private func writeCalls(_ methods: [MethodSnapshot], to writer: inout MetricsWriter) {
    writer.family(
        "agentkeeper_rpc_total", .counter, "Calls that were served, by method, whatever their status.",
        labels: ["method"]
    ) { samples in
        for method in methods { samples.add([method.path], method.finished) }
    }
    writer.family(
        "agentkeeper_rpc_status_total", .counter, "Calls that were served, by method and gRPC status.",
        labels: ["method", "code"]
    ) { samples in
        for method in methods {
            // Statuses that never occurred are left out, but for OK: 17 series a method would be mostly zeros.
            for code in Status.Code.allCases where code == .ok || method.byCode[Int(code.rawValue)] > 0 {
                samples.add([method.path, code.name], method.byCode[Int(code.rawValue)])
            }
        }
    }
    writer.family("agentkeeper_rpc_open", .gauge, "Calls that are under way, by method.", labels: ["method"]) {
        samples in
        for method in methods { samples.add([method.path], method.open) }
    }
    writer.histogram(
        "agentkeeper_rpc_duration_seconds",
        "Time from a call's headers to its status, of streams and waiting calls too.", labels: ["method"],
        upperBounds: CallStatistics.latencyBounds.map { Double($0) / 1e9 }
    ) { histograms in
        for method in methods {
            histograms.add(
                [method.path], counts: method.latencyBuckets, sum: Double(method.latencySumNanoseconds) / 1e9)
        }
    }
}

func watchMetrics(_ hub: WatchHub, _ coordinator: Coordinator) -> MetricsSource {
    { writer in
        let last = coordinator.read(at: Clock.now()) { $0.lastSequence }.result
        let snapshot = hub.snapshot(last: last)
        writer.gauge("agentkeeper_watchers", "Streams of events that are open.", snapshot.open)
        writer.gauge(
            "agentkeeper_watchers_lagging", "Watchers that are fed from the history because they read slowly.",
            snapshot.lagging)
        writer.gauge(
            "agentkeeper_watch_lag_events", "How many events the slowest watcher is behind.", snapshot.maxLag)
        writer.counter("agentkeeper_watch_events_sent_total", "Events that were sent to watchers.", snapshot.sentEvents)
        writer.counter(
            "agentkeeper_watchers_ended_total", "Watchers that were ended because the history had moved past them.",
            snapshot.endedForLag)
    }
}

extension Load {
    /// What the page's charts are made of.
    init(_ server: Server, _ hub: WatchHub, _ journal: JournalRunner?) {
        self.init()
        let calls = server.snapshot()
        latencyBounds = CallStatistics.latencyBounds
        latencyBuckets = Array(repeating: 0, count: latencyBounds.count + 1)
        for method in calls.methods {
            self.calls += method.finished
            for code in Self.faults { errors += method.byCode[Int(code.rawValue)] }
            openCalls += method.open
            // A stream or a wait takes as long as its client likes.
            guard method.kind == .unary, !method.path.hasSuffix("/ClaimTask") else { continue }
            for (index, count) in method.latencyBuckets.enumerated() { latencyBuckets[index] += count }
        }
        openConnections = calls.openConnections
        watchers = hub.openWatchers
        isDiskFull = journal?.numbers.isOutOfRoom ?? false
    }

    /// Statuses that are not the caller's fault.
    private static let faults: [Status.Code] = [.unknown, .resourceExhausted, .internal, .unavailable, .dataLoss]
}
