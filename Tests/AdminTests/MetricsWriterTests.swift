import Admin
import Foundation
import Testing

@Suite struct MetricsWriterTests {
    func written(_ body: (inout MetricsWriter) -> Void) -> String {
        var writer = MetricsWriter()
        body(&writer)
        return String(buffer: writer.text)
    }

    @Test func `A family is its help, its type and its samples`() {
        let text = written { writer in
            writer.counter("calls_total", "Calls.", 3)
            writer.family("tasks", .gauge, "Tasks.", labels: ["status", "kind"]) { tasks in
                tasks.add(["pending", "a"], 1)
                tasks.add(["pending", "b"], -2)
            }
        }
        #expect(
            text == """
                # HELP calls_total Calls.
                # TYPE calls_total counter
                calls_total 3
                # HELP tasks Tasks.
                # TYPE tasks gauge
                tasks{status="pending",kind="a"} 1
                tasks{status="pending",kind="b"} -2

                """)
    }

    @Test func `A histogram's buckets are summed up, and its count is their total`() {
        let text = written { writer in
            writer.histogram("wait_seconds", "Waits.", labels: ["method"], upperBounds: [5e-06, 0.25, 10]) { waits in
                waits.add(["Get"], counts: [1, 2, 0, 4], sum: 1.5)
            }
            writer.histogram("size_bytes", "Sizes.", labels: [], upperBounds: []) { $0.add([], counts: [2], sum: 8) }
        }
        #expect(
            text == """
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{method="Get",le="5e-06"} 1
                wait_seconds_bucket{method="Get",le="0.25"} 3
                wait_seconds_bucket{method="Get",le="10"} 3
                wait_seconds_bucket{method="Get",le="+Inf"} 7
                wait_seconds_sum{method="Get"} 1.5
                wait_seconds_count{method="Get"} 7
                # HELP size_bytes Sizes.
                # TYPE size_bytes histogram
                size_bytes_bucket{le="+Inf"} 2
                size_bytes_sum 8
                size_bytes_count 2

                """)
    }

    @Test func `Whatever a label's value holds, it stays one value on one line`() {
        let text = written { writer in
            writer.family("a", .gauge, #"A \ and a "quote"."# + "\nand a line", labels: ["b"]) {
                $0.add([#"\ " { } , = é 🐝"# + "\n"], 1)
            }
        }
        #expect(
            text == #"""
                # HELP a A \\ and a "quote".\nand a line
                # TYPE a gauge
                a{b="\\ \" { } , = é 🐝\n"} 1

                """#)
    }

    @Test(arguments: [
        (0.0, "0"), (-3, "-3"), (0.1, "0.1"), (1e300, "1e+300"), (9_007_199_254_740_992, "9007199254740992"),
        (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ])
    func `Whole numbers are written as such, others so that they read back`(value: Double, text: String) {
        #expect(value.metricText == text)
    }

    @Test func `The largest integers keep every digit`() {
        #expect(UInt64.max.metricText == "18446744073709551615" && Int64.min.metricText == "-9223372036854775808")
    }

    @Test func `A wrong shape is a bug and stops the program`() async {
        await #expect(processExitsWith: .failure) { write { $0.gauge("two words", "Help.", 1) } }
        await #expect(processExitsWith: .failure) { write { $0.gauge("1st", "Help.", 1) } }
        await #expect(processExitsWith: .failure) { write { $0.gauge("a", "", 1) } }
        await #expect(processExitsWith: .failure) { write { $0.counter("calls", "Help.", 1) } }
        await #expect(processExitsWith: .failure) { write { $0.gauge("calls_total", "Help.", 1) } }
        await #expect(processExitsWith: .failure) { write { $0.gauge("calls_count", "Help.", 1) } }
    }

    @Test func `Nothing is written twice`() async {
        await #expect(processExitsWith: .failure) {
            write {
                $0.gauge("a", "Help.", 1)
                $0.gauge("a", "Help.", 1)
            }
        }
        await #expect(processExitsWith: .failure) {
            write { writer in
                writer.family("a", .gauge, "Help.", labels: ["b"]) {
                    $0.add(["c"], 1)
                    $0.add(["c"], 2)
                }
            }
        }
    }

    @Test func `Labels and buckets are as many as announced, and of our own naming`() async {
        await #expect(processExitsWith: .failure) {
            write { $0.family("a", .gauge, "Help.", labels: ["b"]) { $0.add([], 1) } }
        }
        await #expect(processExitsWith: .failure) {
            write { $0.family("a", .gauge, "Help.", labels: ["le"]) { $0.add(["1"], 1) } }
        }
        await #expect(processExitsWith: .failure) {
            write { $0.histogram("a", "Help.", labels: [], upperBounds: [1]) { $0.add([], counts: [1], sum: 1) } }
        }
        await #expect(processExitsWith: .failure) {
            write { $0.histogram("a", "Help.", labels: [], upperBounds: [2, 1]) { _ in } }
        }
    }
}

/// For the tests that end in a process of their own, and can capture nothing.
private func write(_ body: (inout MetricsWriter) -> Void) {
    var writer = MetricsWriter()
    body(&writer)
}
