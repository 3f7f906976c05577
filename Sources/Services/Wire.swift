// The messages of `agentkeeper.v1` as protoc-c made them, under names that can be read.

import CMessages
import RPC

enum Wire {
    typealias Agent = Agentkeeper__V1__AgentInfo
    typealias Card = Agentkeeper__V1__AgentCard
    typealias Capability = Agentkeeper__V1__Capability
    typealias MetadataEntry = Agentkeeper__V1__AgentCard__MetadataEntry
    typealias Token = Agentkeeper__V1__FencingToken
    typealias Lease = Agentkeeper__V1__Lease
    typealias Election = Agentkeeper__V1__ElectionState
    typealias Event = Agentkeeper__V1__Event
    typealias Policy = Agentkeeper__V1__Policy
    typealias Task = Agentkeeper__V1__Task
    typealias Timestamp = Google__Protobuf__Timestamp

    static let agent = MessageType(agentkeeper__v1__agent_info__init)
    static let card = MessageType(agentkeeper__v1__agent_card__init)
    static let capability = MessageType(agentkeeper__v1__capability__init)
    static let metadataEntry = MessageType(agentkeeper__v1__agent_card__metadata_entry__init)
    static let token = MessageType(agentkeeper__v1__fencing_token__init)
    static let lease = MessageType(agentkeeper__v1__lease__init)
    static let election = MessageType(agentkeeper__v1__election_state__init)
    static let event = MessageType(agentkeeper__v1__event__init)
    static let policy = MessageType(agentkeeper__v1__policy__init)
    static let task = MessageType(agentkeeper__v1__task__init)
    static let timestamp = MessageType(google__protobuf__timestamp__init)
    static let any = MessageType(google__protobuf__any__init)
}

/// The files of the schema, for reflection.
func schemaFiles() -> [Reflection.File] {
    (0..<cmessages_file_count()).map { index in
        let file = cmessages_file(index)!.pointee
        var symbols: [String] = []
        var next = file.symbols!
        while let symbol = next.pointee {
            symbols.append(String(cString: symbol))
            next += 1
        }
        return Reflection.File(
            name: String(cString: file.name),
            bytes: UnsafeBufferPointer(start: file.bytes, count: file.length), symbols: symbols)
    }
}
