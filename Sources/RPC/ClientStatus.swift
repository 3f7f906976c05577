// What a call ended with when the server did not say it in gRPC's words.

import HTTP2

extension Status {
    /// Of an answer without `grpc-status`
    /// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md). The text names the HTTP
    /// status, for a proxy's answer is nothing that the server's own people would recognise.
    static func fromHTTP(_ status: Int) -> Status {
        let code: Code =
            switch status {
            case 400, 431: .internal
            case 401: .unauthenticated
            case 403: .permissionDenied
            case 404: .unimplemented
            case 429, 502, 503, 504: .unavailable
            default: .unknown
            }
        return Status(code, "the answer is HTTP status \(status), without a grpc-status")
    }

    /// Of a stream that was reset (gRPC over HTTP/2, "Errors").
    static func fromReset(_ code: HTTP2ErrorCode) -> Status {
        switch code {
        case .refusedStream: Status(.unavailable, "the server refused the call unseen")
        case .cancel: Status(.cancelled, "the server cancelled the call")
        case .enhanceYourCalm: Status(.resourceExhausted, "the server has too much to do for us (\(code))")
        case .inadequateSecurity: Status(.permissionDenied, "the connection is not secure enough (\(code))")
        default: Status(.internal, "the stream was reset: \(code)")
        }
    }

    /// A `grpc-status` as it came; what is no code that we know is UNKNOWN, as the status document asks.
    static func fromWire(code: String, message: String) -> Status {
        let number = UInt8(code)
        guard let number, let known = Code(rawValue: number) else {
            return Status(.unknown, message.isEmpty ? "grpc-status \(quoted(code)) is unknown" : message)
        }
        return Status(known, message)
    }
}
