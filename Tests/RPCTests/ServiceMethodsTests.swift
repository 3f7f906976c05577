// Health and reflection, called as clients call them.

import CMessages
import RPC
import Testing

@Suite("Health and reflection", .timeLimit(.minutes(15)))
struct ServiceMethodsTests {
    private static let healthRequest = MessageType(grpc__health__v1__health_check_request__init)
    private static let healthResponse = MessageType(grpc__health__v1__health_check_response__init)
    private static let listResponse = MessageType(grpc__health__v1__health_list_response__init)
    private static let reflectionRequest = MessageType(grpc__reflection__v1__server_reflection_request__init)
    private static let reflectionResponse = MessageType(grpc__reflection__v1__server_reflection_response__init)

    private func ask(_ service: String) -> [UInt8] {
        Self.healthRequest.bytes { message, arena in message.pointee.service = arena.string(service) }
    }

    private func status(_ bytes: [UInt8]) throws -> UInt32 {
        try Self.healthResponse.read(bytes) { UInt32($0.pointee.status.rawValue) }
    }

    private let serving = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING.rawValue
    private let notServing = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING.rawValue
    private let unknown = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN.rawValue

    @Test("Check tells of the server and of each service, and does not know others")
    func check() async throws {
        let health = Health(services: ["a.B"])
        try await withFixture(health.methods) { fixture async throws in
            for name in ["", "a.B"] {
                let reply = try await fixture.client.unary("/grpc.health.v1.Health/Check", ask(name))
                #expect(try status(reply.message) == serving)
            }
            health.setServing(false)
            let reply = try await fixture.client.unary("/grpc.health.v1.Health/Check", ask("a.B"))
            #expect(try status(reply.message) == notServing)
            let refused = await failure {
                _ = try await fixture.client.unary("/grpc.health.v1.Health/Check", ask("c.D"))
            }
            #expect(refused?.code == .notFound)
            let list = try await fixture.client.unary("/grpc.health.v1.Health/List", [])
            #expect(try Self.listResponse.read(list.message) { $0.pointee.n_statuses } == 2)
        }
    }

    @Test("Watch tells the status now and at every change; an unknown service is one that may come")
    func watch() async throws {
        let health = Health(services: ["a.B"])
        try await withFixture(health.methods) { fixture async throws in
            let known = fixture.client.serverStreaming("/grpc.health.v1.Health/Watch", ask("a.B"))
            let strange = fixture.client.serverStreaming("/grpc.health.v1.Health/Watch", ask("c.D"))
            #expect(try status(try #require(try await known.nextReply())) == serving)
            #expect(try status(try #require(try await strange.nextReply())) == unknown)
            health.setServing(false)
            #expect(try status(try #require(try await known.nextReply())) == notServing)
            health.setServing(false)
            health.setServing(true)
            #expect(try status(try #require(try await known.nextReply())) == serving)
        }
    }

    @Test("Text that is not UTF-8, and bytes that are no message, are INVALID_ARGUMENT")
    func malformed() async throws {
        try await withFixture(Health(services: []).methods) { fixture async throws in
            for bytes: [UInt8] in [[10, 2, 0xc3, 0x28], [10, 1, 0], [10, 200], [0xff, 0xff], [0]] {
                let refused = await failure {
                    _ = try await fixture.client.unary("/grpc.health.v1.Health/Check", bytes)
                }
                #expect(refused?.code == .invalidArgument)
            }
        }
    }

    @Test("A reply that can't be read is INTERNAL: the server's fault")
    func unreadableReply() {
        #expect {
            try Self.healthResponse.read([0xff]) { _ in }
        } throws: { ($0 as? CallFailure)?.status.code == .internal }
    }

    @Test("Reflection answers every kind of question, in both its versions", arguments: Reflection.serviceNames)
    func reflection(service: String) async throws {
        let bytes: [UInt8] = [1, 2, 3]
        let constant = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        _ = constant.initialize(from: bytes)
        defer { constant.deallocate() }
        let reflection = Reflection(
            files: [
                Reflection.File(name: "a.proto", bytes: UnsafeBufferPointer(constant), symbols: ["a.B", "a.B.Call"])
            ],
            services: ["a.B"])

        typealias Request = Grpc__Reflection__V1__ServerReflectionRequest
        func question(_ fill: (UnsafeMutablePointer<Request>, Arena) -> Void) -> [UInt8] {
            Self.reflectionRequest.bytes(fill)
        }
        let questions = [
            question { message, arena in
                message.pointee.message_request_case =
                    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES
                message.pointee.list_services = arena.string("")
            },
            question { message, arena in
                message.pointee.message_request_case =
                    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL
                message.pointee.file_containing_symbol = arena.string("a.B.Call")
            },
            question { message, arena in
                message.pointee.message_request_case =
                    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME
                message.pointee.file_by_filename = arena.string("a.proto")
            },
            question { message, arena in
                message.pointee.message_request_case =
                    GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME
                message.pointee.file_by_filename = arena.string("b.proto")
            },
        ]
        try await withFixture(reflection.methods) { fixture async throws in
            let call = fixture.client.bidirectional("/\(service)/ServerReflectionInfo")
            var answers: [String] = []
            for question in questions {
                #expect(await call.requests.send(question))
                let answer = try #require(try await call.nextReply())
                answers.append(try Self.reflectionResponse.read(answer, describe))
            }
            #expect(
                answers == ["services a.B", "file [1, 2, 3]", "file [1, 2, 3]", "error 5 unknown file \"b.proto\""])
            call.requests.finish()
            #expect(try await call.nextReply() == nil)
        }
    }

    private func describe(_ answer: UnsafeMutablePointer<Grpc__Reflection__V1__ServerReflectionResponse>) -> String {
        switch answer.pointee.message_response_case {
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE:
            let list = answer.pointee.list_services_response.pointee
            return "services "
                + (0..<list.n_service).map { String(cString: list.service[$0]!.pointee.name) }.joined(separator: " ")
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE:
            let file = answer.pointee.file_descriptor_response.pointee.file_descriptor_proto[0]
            return "file \(Array(UnsafeBufferPointer(start: file.data, count: file.len)))"
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE:
            let error = answer.pointee.error_response.pointee
            return "error \(error.error_code) \(String(cString: error.error_message))"
        default:
            return "nothing"
        }
    }
}
