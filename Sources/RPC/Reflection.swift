// Server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md): the schema, so
// that grpcurl, buf and others can call a server that they know nothing of.
//
// v1 and v1alpha have the same messages but for the package's name, and so the same bytes: one handler
// serves both.

import CMessages
import CProtobufC

package struct Reflection: Sendable {
    /// A .proto file of the schema.
    package struct File: @unchecked Sendable {
        package let name: String
        /// A serialized `google.protobuf.FileDescriptorProto`: constant, for the life of the process.
        package let bytes: UnsafeBufferPointer<UInt8>
        /// The full names of what it declares.
        package let symbols: [String]

        package init(name: String, bytes: UnsafeBufferPointer<UInt8>, symbols: [String]) {
            self.name = name
            self.bytes = bytes
            self.symbols = symbols
        }
    }

    package static let serviceNames = [
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    ]

    private typealias Request = Grpc__Reflection__V1__ServerReflectionRequest
    private typealias Response = Grpc__Reflection__V1__ServerReflectionResponse

    private static let request = MessageType(grpc__reflection__v1__server_reflection_request__init)
    private static let response = MessageType(grpc__reflection__v1__server_reflection_response__init)
    private static let fileResponse = MessageType(grpc__reflection__v1__file_descriptor_response__init)
    private static let numberResponse = MessageType(grpc__reflection__v1__extension_number_response__init)
    private static let listResponse = MessageType(grpc__reflection__v1__list_service_response__init)
    private static let service = MessageType(grpc__reflection__v1__service_response__init)
    private static let error = MessageType(grpc__reflection__v1__error_response__init)

    private let files: [File]
    private let services: [String]
    private let fileByName: [String: Int]
    private let fileBySymbol: [String: Int]

    package init(files: [File], services: [String]) {
        self.files = files
        self.services = services.sorted()
        fileByName = Dictionary(files.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        fileBySymbol = Dictionary(
            files.enumerated().flatMap { index, file in file.symbols.map { ($0, index) } },
            uniquingKeysWith: { first, _ in first })
    }

    package var methods: [Method] {
        Self.serviceNames.map { name in
            .bidirectional("/\(name)/ServerReflectionInfo") { call in
                call.onMessage = { call, bytes in
                    call.resources.withArena { arena in
                        do throws(Status) {
                            let question = try Self.request.decode(bytes, in: arena)
                            call.send(message: answer(question, in: arena))
                        } catch {
                            call.finish(error)
                        }
                    }
                    // A client that asks and does not read is not asked for more questions.
                    if !call.isWritable { call.pauseReading() }
                }
                call.onWritable = { $0.resumeReading() }
                call.onHalfClose = { $0.finish(.ok) }
            }
        }
    }

    private func answer(
        _ question: UnsafeMutablePointer<Request>, in arena: Arena
    ) -> UnsafeMutablePointer<Response> {
        let answer = Self.response.make(in: arena)
        answer.pointee.valid_host = question.pointee.host
        answer.pointee.original_request = question
        switch question.pointee.message_request_case {
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
            let name = String(cString: question.pointee.file_by_filename)
            set(answer, to: fileByName[name], orMissing: "file \(quoted(name))", arena)
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
            let name = String(cString: question.pointee.file_containing_symbol)
            set(answer, to: fileBySymbol[name], orMissing: "symbol \(quoted(name))", arena)
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
            // proto3 messages have no extensions.
            set(answer, to: nil, orMissing: "extension", arena)
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
            let name = String(cString: question.pointee.all_extension_numbers_of_type)
            guard fileBySymbol[name] != nil else {
                set(answer, to: nil, orMissing: "type \(quoted(name))", arena)
                break
            }
            let numbers = Self.numberResponse.make(in: arena)
            numbers.pointee.base_type_name = arena.string(name)
            answer.pointee.message_response_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE
            answer.pointee.all_extension_numbers_response = numbers
        case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
            setServices(answer, arena)
        default:
            setError(answer, Status(.invalidArgument, "message_request must be set"), arena)
        }
        return answer
    }

    private func setServices(_ answer: UnsafeMutablePointer<Response>, _ arena: Arena) {
        let list = arena.array(
            of: UnsafeMutablePointer<Grpc__Reflection__V1__ServiceResponse>?.self, count: services.count)
        for (index, name) in services.enumerated() {
            let entry = Self.service.make(in: arena)
            entry.pointee.name = arena.string(name)
            list[index] = entry
        }
        let response = Self.listResponse.make(in: arena)
        response.pointee.n_service = services.count
        response.pointee.service = list
        answer.pointee.message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE
        answer.pointee.list_services_response = response
    }

    /// The one file; what it imports, clients ask for by name.
    private func set(
        _ answer: UnsafeMutablePointer<Response>, to file: Int?, orMissing what: String, _ arena: Arena
    ) {
        guard let file else { return setError(answer, Status(.notFound, "unknown \(what)"), arena) }
        let bytes = files[file].bytes
        let list = arena.array(of: ProtobufCBinaryData.self, count: 1)
        list.initialize(
            to: ProtobufCBinaryData(len: bytes.count, data: UnsafeMutablePointer(mutating: bytes.baseAddress)))
        let response = Self.fileResponse.make(in: arena)
        response.pointee.n_file_descriptor_proto = 1
        response.pointee.file_descriptor_proto = list
        answer.pointee.message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE
        answer.pointee.file_descriptor_response = response
    }

    private func setError(_ answer: UnsafeMutablePointer<Response>, _ status: Status, _ arena: Arena) {
        let response = Self.error.make(in: arena)
        response.pointee.error_code = Int32(status.code.rawValue)
        response.pointee.error_message = arena.string(status.message)
        answer.pointee.message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE
        answer.pointee.error_response = response
    }
}
