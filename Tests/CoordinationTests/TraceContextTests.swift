import Coordination
import Testing

private let sample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

@Suite struct TraceContextTests {
    @Test func `A traceparent is read, and written as it was`() throws {
        let trace = try #require(TraceContext(sample))
        #expect(trace.traceHigh == 0x4bf9_2f35_77b3_4da6 && trace.traceLow == 0xa3ce_929d_0e0e_4736)
        #expect(trace.parent == 0x00f0_67aa_0ba9_02b7 && trace.flags == 1)
        #expect(trace.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(trace.text == sample)
        for text in [
            "00-00000000000000000000000000000001-0000000000000001-00",
            "00-80000000000000000000000000000000-8000000000000000-ff",
            "00-00000000000000010000000000000000-000000000000000a-0a",
        ] { #expect(TraceContext(text)?.text == text) }
    }

    @Test(arguments: [
        "", "00", "00-", String(sample.dropLast()),
        sample + "-", sample + "-00", sample + "0", " " + sample, sample + " ",
        // No version.
        "ff" + sample.dropFirst(2), "0g" + sample.dropFirst(2), "0" + sample,
        // No trace id: zero, in capitals, too short, too long.
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47361-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473.-00f067aa0ba902b7-01",
        // No parent.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-001",
        // No flags.
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é1",
    ])
    func `What is no traceparent is as if it were not there`(_ text: String) {
        #expect(TraceContext(text) == nil)
    }

    @Test func `Of a later version its known beginning counts, and the one flag that all versions have`() {
        let rest = sample.dropFirst(2).dropLast(2)
        #expect(TraceContext("01\(rest)03")?.text == sample)
        #expect(TraceContext("cc\(rest)02-what-the-future-will-be-like")?.text == "00\(rest)00")
        #expect(TraceContext("fe\(rest)01-")?.text == sample)
        // But what follows must be set off.
        #expect(TraceContext("cc\(rest)01.what") == nil)
    }
}
