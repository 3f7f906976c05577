// What the documentation shows is what is compiled and run: every Swift example stands, line for line, in the example
// package, which `make test` builds and tests as a stranger's would be.

import Foundation
import Testing

@Suite("The documentation's examples")
struct DocumentationTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private struct Example: CustomStringConvertible {
        let source: String
        let lines: [String]
        var description: String { "\(source):\n" + lines.joined(separator: "\n") }
    }

    /// Without indentation and empty lines.
    private static func bare(_ text: some Sequence<Substring>) -> [String] {
        text.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    private static func files(_ folder: String, _ ending: String) throws -> [URL] {
        let folder = root.appendingPathComponent(folder)
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        return names.filter { $0.hasSuffix(ending) && !$0.contains(".build/") }.sorted()
            .map { folder.appendingPathComponent($0) }
    }

    /// Between fences that say `swift`.
    private static func fenced(_ file: URL) throws -> [Example] {
        var examples: [Example] = []
        var lines: [Substring]?
        for line in try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        {
            if line == "```swift" {
                lines = []
            } else if line == "```", let finished = lines {
                examples.append(Example(source: file.lastPathComponent, lines: bare(finished)))
                lines = nil
            } else {
                lines?.append(line)
            }
        }
        return examples
    }

    /// In comments that document: lines that are indented by four more.
    private static func commented(_ file: URL) throws -> [Example] {
        let lines = try String(contentsOf: file, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        let marked = lines.map { $0.trimmingCharacters(in: .whitespaces)[...] }
        // A paragraph ends ahead of an example; the text of a parameter, which is indented as far, goes on.
        return marked.split { !$0.hasPrefix("///     ") && $0 != "///" }.filter { $0.first == "///" }
            .map { bare($0.map { $0.dropFirst(3) }) }.filter { !$0.isEmpty }
            .map { Example(source: file.lastPathComponent, lines: $0) }
    }

    @Test("Every Swift example is in the example package")
    func examples() throws {
        let sources = try Self.files("Tests/ExamplePackage", ".swift").map { file in
            Self.bare(try String(contentsOf: file, encoding: .utf8).split(separator: "\n"))
        }
        var examples = try Self.fenced(Self.root.appendingPathComponent("README.md"))
        examples += try Self.files("Sources/AgentKeeper/AgentKeeper.docc", ".md").flatMap(Self.fenced)
        examples += try Self.files("Sources/AgentKeeper", ".swift").flatMap(Self.commented)
        #expect(examples.count >= 20)
        for example in examples {
            let isThere = sources.contains { lines in
                lines.indices.contains { lines[$0...].starts(with: example.lines) }
            }
            #expect(isThere, "\(example)")
        }
    }
}
