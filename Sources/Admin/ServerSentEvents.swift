// Answers that go on: text/event-stream, as the HTML standard has it (section 9.2). A source makes one piece after
// another, and is asked for the next only when the one before is in the socket: a client that reads slowly costs a
// piece of memory and no more.

import NIOCore

/// Makes the pieces of one stream. Its task is cancelled when the client goes away.
protocol PieceSource: Sendable {
    /// Waits until there is something to say; nil ends the stream.
    mutating func next() async -> ByteBuffer?
    /// Called once, when nobody will ask any more.
    func end()
}

extension PieceSource {
    func end() {}
}

extension ByteBuffer {
    /// - Parameter data: without line breaks, as JSON is.
    mutating func writeEvent(_ name: String? = nil, id: String? = nil, data: String) {
        if let name { writeString("event: \(name)\n") }
        if let id { writeString("id: \(id)\n") }
        writeString("data: \(data)\n\n")
    }
}
