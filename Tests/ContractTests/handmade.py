"""Messages made by hand: what no generated class can be made to write."""


def varint(number):
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])


def field(number, value):
    """A length-delimited field on the wire."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def padded(message, size):
    """The message with an unknown field that makes it this long."""
    room = size - len(message)
    overhead = len(field(1_000, bytes(room))) - room
    whole = message + field(1_000, bytes(room - overhead))
    assert len(whole) == size
    return whole


def text_fields(message_type, prefix=()):
    """Every string in a message, however deep, as the path of its field numbers."""
    for each in message_type.fields:
        path = (*prefix, each.number)
        if each.type == each.TYPE_STRING:
            yield path
        elif each.type == each.TYPE_MESSAGE:
            yield from text_fields(each.message_type, path)


def with_text(path, text):
    """A message with just this text in the field at the path."""
    for number in reversed(path):
        text = field(number, text)
    return text
