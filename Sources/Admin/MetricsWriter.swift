// Prometheus' text exposition format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// Whoever has numbers is a `MetricsSource` and writes them here, family by family, at each scrape. The
// shape of a family (name, kind, help, labels) is code of ours, so a wrong one is a bug and stops the
// program at the first scrape of a test. The numbers and the values of labels are data, and any are
// taken. There is no registry of live metric objects: the counters belong to those who count.

import NIOCore

/// Writes what one part of the program has to tell. Runs at each scrape, off the event loops.
package typealias MetricsSource = @Sendable (inout MetricsWriter) -> Void

package struct MetricsWriter {
    package enum Kind: String {
        /// Only grows; the name ends in `_total`.
        case counter
        case gauge
    }

    package private(set) var text = ByteBuffer()
    /// Families, and the series names that histograms make besides.
    private var names: Set<String> = []

    package init() {}

    package mutating func gauge(_ name: String, _ help: String, _ value: some MetricValue) {
        family(name, .gauge, help, labels: []) { $0.add([], value) }
    }

    package mutating func counter(_ name: String, _ help: String, _ value: some MetricValue) {
        family(name, .counter, help, labels: []) { $0.add([], value) }
    }

    /// A family with a series for each combination of label values.
    package mutating func family(
        _ name: String, _ kind: Kind, _ help: String, labels: [String], _ body: (inout Samples) -> Void
    ) {
        precondition((kind == .counter) == name.hasSuffix("_total"), "\(name): counters end in _total, and only they")
        for suffix in ["_count", "_sum", "_bucket"] {
            precondition(!name.hasSuffix(suffix), "\(name): \(suffix) belongs to histograms")
        }
        begin(name, kind.rawValue, help)
        write(Samples(name: name, labels: labels), body)
    }

    /// A histogram for each combination of label values.
    ///
    /// - Parameter upperBounds: ascending; one more bucket, without a bound, follows them. Of times, in
    ///   seconds, and the name says so.
    package mutating func histogram(
        _ name: String, _ help: String, labels: [String], upperBounds: [Double],
        _ body: (inout Histograms) -> Void
    ) {
        precondition(zip(upperBounds, upperBounds.dropFirst()).allSatisfy { $0 < $1 }, "\(name): bounds ascend")
        precondition(!name.hasSuffix("_total"), "\(name): counters end in _total, and only they")
        begin(name, "histogram", help)
        for suffix in ["_count", "_sum", "_bucket"] { reserve(name + suffix) }
        let samples = Samples(name: name, labels: labels)
        write(Histograms(bounds: upperBounds.map { "le=\"\($0.metricText)\"" }, samples: samples), body)
    }

    private mutating func begin(_ name: String, _ kind: String, _ help: String) {
        precondition(isMetricWord(name), "\(name) is no metric name")
        precondition(!help.isEmpty, "\(name) needs a help text")
        reserve(name)
        text.writeString("# HELP \(name) \(escaped(help, quotes: false))\n# TYPE \(name) \(kind)\n")
    }

    private mutating func reserve(_ name: String) {
        precondition(names.insert(name).inserted, "\(name) is written twice")
    }

    /// Lends the text to `part`, so that it grows in place.
    private mutating func write<Part: MetricsPart>(_ part: Part, _ body: (inout Part) -> Void) {
        var part = part
        swap(&part.text, &text)
        body(&part)
        swap(&part.text, &text)
    }
}

private protocol MetricsPart {
    var text: ByteBuffer { get set }
}

/// The series of one family.
package struct Samples: MetricsPart {
    fileprivate var text = ByteBuffer()
    private let name: String
    private let labels: [String]
    private var seen: Set<String> = []

    fileprivate init(name: String, labels: [String]) {
        precondition(Set(labels).count == labels.count, "\(name) has a label twice")
        for label in labels {
            let isReserved = label == "le" || label == "quantile" || label.hasPrefix("__")
            precondition(isMetricWord(label) && !isReserved, "\(label) is no label name")
        }
        self.name = name
        self.labels = labels
    }

    /// - Parameter values: of the family's labels, in their order.
    package mutating func add(_ values: [String], _ value: some MetricValue) {
        write("", labelled(values), value)
    }

    /// The labels as text, for series that were not there yet.
    fileprivate mutating func labelled(_ values: [String]) -> String {
        precondition(values.count == labels.count, "\(name) has \(labels.count) labels")
        let text = zip(labels, values).map { "\($0)=\"\(escaped($1, quotes: true))\"" }.joined(separator: ",")
        precondition(seen.insert(text).inserted, "\(name){\(text)} is written twice")
        return text
    }

    fileprivate mutating func write(_ suffix: String, _ labels: String, _ value: some MetricValue) {
        let labels = labels.isEmpty ? "" : "{\(labels)}"
        text.writeString("\(name)\(suffix)\(labels) \(value.metricText)\n")
    }
}

/// The histograms of one family.
package struct Histograms: MetricsPart {
    fileprivate var text: ByteBuffer {
        get { samples.text }
        _modify { yield &samples.text }
    }
    /// The label of each bucket that has a bound.
    private let bounds: [String]
    private var samples: Samples

    fileprivate init(bounds: [String], samples: Samples) {
        self.bounds = bounds
        self.samples = samples
    }

    /// - Parameters:
    ///   - values: of the family's labels, in their order.
    ///   - counts: of each bucket by itself, the last being the one without a bound. Prometheus wants
    ///     them summed up and a total besides; both are made here, so that they can't disagree.
    ///   - sum: of all that was observed.
    package mutating func add(_ values: [String], counts: [Int64], sum: Double) {
        precondition(counts.count == bounds.count + 1, "a count for each bucket")
        let labels = samples.labelled(values)
        let prefix = labels.isEmpty ? "" : labels + ","
        var total: Int64 = 0
        for (bound, count) in zip(bounds + ["le=\"+Inf\""], counts) {
            total += count
            samples.write("_bucket", prefix + bound, total)
        }
        samples.write("_sum", labels, sum)
        samples.write("_count", labels, total)
    }
}

/// A number as Prometheus reads it.
package protocol MetricValue {
    var metricText: String { get }
}

extension Int: MetricValue { package var metricText: String { String(self) } }
extension Int64: MetricValue { package var metricText: String { String(self) } }
extension UInt64: MetricValue { package var metricText: String { String(self) } }

extension Double: MetricValue {
    package var metricText: String {
        if isNaN { return "NaN" }
        if isInfinite { return self < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: self).map(String.init) ?? description
    }
}

/// The names of metrics and labels that need no quoting. The colon is left to recording rules.
private func isMetricWord(_ text: String) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

/// A help text or, in quotes, a label's value: neither may end the line, nor the value its quotes.
private func escaped(_ text: String, quotes: Bool) -> String {
    var result: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\\"): result += #"\\"#.utf8
        case UInt8(ascii: "\n"): result += #"\n"#.utf8
        case UInt8(ascii: "\"") where quotes: result += #"\""#.utf8
        default: result.append(byte)
        }
    }
    return String(decoding: result, as: UTF8.self)
}
