// A gRPC client: calls of all four kinds, in async/await, over one connection to one server.
//
// Bytes in, bytes out: `ClientMessages` puts protobuf messages around them. A call is over when its reply
// or its stream of replies has ended, when its task is cancelled, or when nobody holds it any more;
// whichever comes first, the server learns of it.

import NIOCore

package final class Client: Sendable {
    private let connector: Connector

    /// Connects when the first call is made. The event loop must outlive the client and its calls.
    ///
    /// - Parameter random: from 0 to 1; how far each wait before connecting anew strays.
    package init(
        host: String, port: Int, options: ClientOptions = ClientOptions(), eventLoop: any EventLoop,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0...1) }
    ) {
        connector = Connector(host: host, port: port, options: options, eventLoop: eventLoop, random: random)
    }

    deinit {
        connector.eventLoop.execute { [connector] in connector.close(nil) }
    }

    /// Takes no more calls (UNAVAILABLE) and returns when those that are under way are over, or after
    /// `grace`, when they end with UNAVAILABLE. Cancelling the task ends the grace.
    package func close(grace: Duration = .seconds(5)) async {
        let eventLoop = connector.eventLoop
        let timer = eventLoop.scheduleTask(in: .nanoseconds(grace.nanosecondsUpToACentury)) { [connector] in
            connector.abort()
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { closer in
                eventLoop.execute { [connector] in connector.close(closer) }
            }
        } onCancel: { [connector] in
            // Behind `close`, which may not have run yet.
            eventLoop.execute { eventLoop.execute { connector.abort() } }
        }
        timer.cancel()
    }

    /// There is reason to doubt that the server can be reached: a connection that does not answer a ping soon is given
    /// up. Needs keepalive.
    package func doubt() {
        connector.eventLoop.execute { [connector] in connector.doubt() }
    }

    /// Begins a call whose requests and replies both come one after another: the kind that all others are
    /// special cases of. `path` is `/package.Service/Method`.
    package func bidirectional(_ path: String, _ options: CallOptions = CallOptions()) -> ClientCallHandle {
        let stream = ClientStream(path: path, options: options, connector: connector)
        connector.eventLoop.execute { stream.begin() }
        return ClientCallHandle(stream)
    }

    package func unary(
        _ path: String, _ request: [UInt8], _ options: CallOptions = CallOptions()
    ) async throws(CallFailure) -> Reply {
        let call = bidirectional(path, options)
        call.requests.sendLast(request)
        return try await call.reply()
    }

    package func serverStreaming(
        _ path: String, _ request: [UInt8], _ options: CallOptions = CallOptions()
    ) -> ClientCallHandle {
        let call = bidirectional(path, options)
        call.requests.sendLast(request)
        return call
    }

    /// - Parameter produce: sends the requests. What it throws cancels the call.
    package func clientStreaming(
        _ path: String, _ options: CallOptions = CallOptions(),
        _ produce: (RequestWriter) async throws -> Void
    ) async throws -> Reply {
        let call = bidirectional(path, options)
        try await produce(call.requests)
        call.requests.finish()
        return try await call.reply()
    }
}
