// The calls that a server knows, and the table that finds one by its path.

import Glibc

/// The four kinds of call.
package enum CallKind: Sendable {
    case unary
    case serverStreaming
    case clientStreaming
    case bidirectional
}

package struct Method: Sendable {
    /// `/package.Service/Method`.
    package let path: String
    package let kind: CallKind
    /// Of calls with one request: runs when it has arrived whole. Replies before it returns, or keeps
    /// the call and replies later. The bytes are valid during the call.
    let handle: (@Sendable (ServerCall, UnsafeRawBufferPointer) -> Void)?
    /// Of calls that stream their requests: runs when the call begins, and sets the call's handlers.
    let open: (@Sendable (ServerCall) -> Void)?

    package static func unary(
        _ path: String, _ handle: @escaping @Sendable (ServerCall, UnsafeRawBufferPointer) -> Void
    ) -> Method {
        Method(path: path, kind: .unary, handle: handle, open: nil)
    }

    package static func serverStreaming(
        _ path: String, _ handle: @escaping @Sendable (ServerCall, UnsafeRawBufferPointer) -> Void
    ) -> Method {
        Method(path: path, kind: .serverStreaming, handle: handle, open: nil)
    }

    package static func clientStreaming(
        _ path: String, _ open: @escaping @Sendable (ServerCall) -> Void
    ) -> Method {
        Method(path: path, kind: .clientStreaming, handle: nil, open: open)
    }

    package static func bidirectional(
        _ path: String, _ open: @escaping @Sendable (ServerCall) -> Void
    ) -> Method {
        Method(path: path, kind: .bidirectional, handle: nil, open: open)
    }
}

/// Finds methods by the bytes of `:path`, without making a string of them.
final class MethodTable: Sendable {
    let methods: [Method]
    private let paths: [[UInt8]]
    private let buckets: [[Int]]

    init(_ methods: [Method]) {
        self.methods = methods
        paths = methods.map { Array($0.path.utf8) }
        var buckets = [[Int]](repeating: [], count: 256)
        for (index, path) in paths.enumerated() {
            path.withUnsafeBufferPointer { buckets[Self.bucket($0)].append(index) }
        }
        self.buckets = buckets
    }

    /// The index in `methods`.
    func find(_ path: UnsafeBufferPointer<UInt8>) -> Int? {
        guard !path.isEmpty else { return nil }
        for index in buckets[Self.bucket(path)] {
            let isEqual = paths[index].withUnsafeBufferPointer { known in
                known.count == path.count && memcmp(known.baseAddress!, path.baseAddress!, known.count) == 0
            }
            if isEqual { return index }
        }
        return nil
    }

    /// Whether any method belongs to the service of this path.
    func hasService(of path: String) -> Bool {
        guard let slash = path.lastIndex(of: "/") else { return false }
        return methods.contains { $0.path.hasPrefix(path[...slash]) }
    }

    /// Methods of one service differ in their last letters; the length tells most others apart.
    private static func bucket(_ path: UnsafeBufferPointer<UInt8>) -> Int {
        var hash = UInt32(truncatingIfNeeded: path.count)
        for index in max(0, path.count &- 6)..<path.count { hash = hash &* 31 &+ UInt32(path[index]) }
        return Int(hash & 255)
    }
}
