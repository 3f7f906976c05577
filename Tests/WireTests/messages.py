"""gRPC messages as bytes: protobuf and the length prefix by hand, so that a test can also make them wrong."""

import struct

REGISTRY = "/agentkeeper.v1.RegistryService/"
LEASES = "/agentkeeper.v1.LeaseService/"
TASKS = "/agentkeeper.v1.TaskService/"

REGISTER = REGISTRY + "Register"
HEARTBEAT = REGISTRY + "Heartbeat"
GET_AGENT = REGISTRY + "GetAgent"
WATCH = REGISTRY + "Watch"
ACQUIRE = LEASES + "AcquireLease"
RENEW = LEASES + "RenewLease"
CLAIM = TASKS + "ClaimTask"
CREATE_TASK = TASKS + "CreateTask"
GET_TASK = TASKS + "GetTask"

# grpc-status, https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = range(6)
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

MAX_MESSAGE = 4 << 20


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def message(**numbered):
    """message(_1="text", _2=5, _3=nested, _4=[...]) is the protobuf message with these fields."""
    out = b""
    for name, values in numbered.items():
        number = int(name[1:])
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                out += varint(number << 3) + varint(value)
            else:
                value = value.encode() if isinstance(value, str) else value
                out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def fields(data):
    """The fields of a message: number to the list of its values, bytes or int."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        value = number()
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        found.setdefault(key >> 3, []).append(value)
    return found


def frame(body, flag=0, length=None):
    """The body behind gRPC's prefix; `flag` and `length` may lie."""
    return struct.pack(">BI", flag, len(body) if length is None else length) + body


def unframed(data):
    """The messages of a whole gRPC body."""
    found = []
    while data:
        flag, length = struct.unpack(">BI", data[:5])
        assert flag == 0, "a compressed message where none was expected"
        assert len(data) >= 5 + length, "a reply was cut off"
        found.append(data[5 : 5 + length])
        data = data[5 + length :]
    return found
