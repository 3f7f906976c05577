// What travels in header fields: percent-encoded text, base64, metadata.

import Testing

@testable import RPC

struct EncodingTests {
    @Test(
        "Percent-encoding leaves printable ASCII as it is, and escapes the rest",
        arguments: [
            ("", ""), ("plain text ~!", "plain text ~!"), ("100 %", "100 %25"), ("a\nb", "a%0Ab"), ("\u{7f}", "%7F"),
            ("é", "%C3%A9"), ("\u{1F980}", "%F0%9F%A6%80"), ("\0", "%00"),
        ])
    func percent(text: String, encoded: String) {
        #expect(PercentEncoding.encode(text) == encoded)
        #expect(PercentEncoding.decode(encoded) == text)
    }

    @Test(
        "What is no escape is kept as it is",
        arguments: [
            ("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%41%", "A%"), ("%c3%a9", "é"), ("%%41", "%A"),
            ("%FF", "\u{fffd}"),
        ])
    func lenient(encoded: String, text: String) {
        #expect(PercentEncoding.decode(encoded) == text)
    }

    @Test(
        "Base64 is written without padding and read with or without (RFC 4648, 10)",
        arguments: [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ])
    func base64(text: String, encoded: String) {
        #expect(Base64.encode(Array(text.utf8)) == encoded)
        #expect(Base64.decode(encoded.utf8) == Array(text.utf8))
        let padded = encoded + String(repeating: "=", count: (4 - encoded.count % 4) % 4)
        #expect(Base64.decode(padded.utf8) == Array(text.utf8))
    }

    @Test("What is no base64 is not read", arguments: ["Z", "Zm9vY", "Zg==Zg", "Z-g", "Zm9v*"])
    func notBase64(text: String) {
        #expect(Base64.decode(text.utf8) == nil)
    }

    @Test("Random bytes survive base64")
    func randomBase64() {
        var random = SeededRandom()
        for count in 0..<200 {
            let bytes = random.bytes(count)
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes, "\(random)")
        }
    }

    @Test("Metadata keeps its order; lists of bytes may be joined with commas; what is no base64 is left out")
    func metadata() {
        var metadata = Metadata()
        metadata.add("a", "1")
        metadata.add("b-bin", bytes: [1])
        metadata.add("a", "2")
        metadata.addRaw("b-bin", "Ag,AwQ=,*")
        #expect(metadata.fields.map(\.key) == ["a", "b-bin", "a", "b-bin"])
        #expect(metadata["a"] == "1")
        #expect(metadata["c"] == nil)
        #expect(metadata.bytes("b-bin") == [[1], [2], [3, 4]])
    }
}
