import Testing

@testable import Journal

/// Texts that are hard to write down: what JSON escapes, what it does not, and what can't be seen.
let awkwardTexts = [
    "", " ", "\"", "\\", "\\\"", "\u{0}", "a\u{0}b", "\n\r\t", "\u{8}\u{c}", "\u{1f}", "\u{7f}", "/", "é", "e\u{301}",
    "\u{2028}", "😀", "\u{10ffff}", "[\"a\",\"b\"]", "{\"a\":\"b\"}", ",", ":", "'; DROP TABLE agents; --", "\\u0041",
]

@Suite struct TextListTests {
    @Test func `A list is JSON that a person can read`() {
        for (texts, json): ([String], String) in [
            ([], "[]"),
            ([""], #"[""]"#),
            (["a", "b"], #"["a","b"]"#),
            (["say \"a\\b\""], #"["say \"a\\b\""]"#),
            (["a\u{0}b\n"], #"["a\u0000b\u000a"]"#),
            (["é 😀 /"], #"["é 😀 /"]"#),
        ] {
            #expect(TextList.array(texts) == json)
            #expect(TextList.parseArray(json) == texts)
        }
        for (pairs, json): ([(String, String)], String) in [
            ([], "{}"),
            ([("k", "v")], #"{"k":"v"}"#),
            // Two capabilities may have one name.
            ([("k", "v"), ("k", "w"), ("", "")], #"{"k":"v","k":"w","":""}"#),
        ] {
            #expect(TextList.object(pairs) == json)
            #expect(TextList.parseObject(json)?.map { "\($0)=\($1)" } == pairs.map { "\($0)=\($1)" })
        }
    }

    @Test func `Every text comes back byte by byte`() throws {
        let array = try #require(TextList.parseArray(TextList.array(awkwardTexts)))
        #expect(array.map { Array($0.utf8) } == awkwardTexts.map { Array($0.utf8) })
        let pairs = awkwardTexts.map { ($0, $0 + "!") }
        let object = try #require(TextList.parseObject(TextList.object(pairs)))
        #expect(object.map { Array($0.0.utf8) } == pairs.map { Array($0.0.utf8) })
        #expect(object.map { Array($0.1.utf8) } == pairs.map { Array($0.1.utf8) })
    }

    @Test func `SQLite reads the same out of it`() throws {
        let database = try Database((":memory:", nil), .readWrite)
        func rows(_ sql: String, _ json: String) throws -> [SQLValue] {
            let statement = try database.prepare(sql)
            statement.bind([.text(json)])
            var rows: [SQLValue] = []
            while try statement.step() { rows.append(try statement.value(0)) }
            return rows
        }
        // SQLite's own texts end at U+0000.
        let texts = awkwardTexts.filter { !$0.contains("\u{0}") }
        #expect(try rows("SELECT value FROM json_each(?)", TextList.array(texts)) == texts.map { .text($0) })
        let object = TextList.object(texts.map { ($0, $0) })
        #expect(try rows("SELECT value FROM json_each(?)", object) == texts.map { .text($0) })
        #expect(try rows("SELECT json_valid(?)", TextList.array(awkwardTexts)) == [.integer(1)])
        #expect(
            try rows("SELECT json_array_length(?)", TextList.array(awkwardTexts)) == [
                .integer(Int64(awkwardTexts.count))
            ])
    }

    @Test func `What was never written is no list`() {
        for json in [
            "", "[", "]", "[]]", "[] ", " []", "{}", "null", "[null]", "[1]", "[a]", #"["a"#, #"["a"#, #"["a","#,
            #"["a",]"#, #"[,"a"]"#, #"["a" ,"b"]"#, #"["a":"b"]"#, #"["a"]]"#, #"["\n"]"#, #"["\x41"]"#,
            #"["\u00"]"#, #"["\u00g0"]"#, #"["\u0041"]"#, #"["\u00ff"]"#, #"["\u+001"]"#, #"["\u20ac"]"#, #"["\"#,
            #"["\u"#, #"[["a"]]"#,
        ] {
            #expect(TextList.parseArray(json) == nil, "\(json)")
        }
        for json in [
            "", "{", "[]", #"{"a"}"#, #"{"a":}"#, #"{"a":"b""#, #"{"a":"b",}"#, #"{"a","b"}"#, #"{"a":"b":"c"}"#,
            #"{"a":"b","c"}"#, #"{"a":1}"#, #"{"a":["b"]}"#, #"{"a": "b"}"#,
        ] {
            #expect(TextList.parseObject(json) == nil, "\(json)")
        }
    }
}
