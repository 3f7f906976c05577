"""An HTTP/2 client that does what it is told, right or wrong, one frame at a time.

A proper client library refuses to send what these tests are about. This one checks nothing that it sends:
hyperframe and hpack make the bytes, a test puts them in any order. What comes back is kept by stream
in `replies` and for the connection in `goaways`, `pongs`, `peer_settings` and `closed`. Every wait has an end: a server
that does not answer fails the test, it never hangs it.
"""

import select
import socket
import struct
import time
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)

from machine import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_BYTES = 16_384  # the largest frame that every peer takes (RFC 9113, 4.2)

# Error codes (RFC 9113, 7)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)


def raw_frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame as bytes, of any kind and with any length field."""
    length = len(payload) if length is None else length
    return struct.pack(">HBBBL", length >> 8, length & 255, kind, flags, stream) + payload


@dataclass
class Reply:
    """What came on one stream."""

    headers: list = field(default_factory=list)
    trailers: list = field(default_factory=list)
    body: bytes = b""
    pieces: list = field(default_factory=list)  # the sizes of the DATA frames
    header_blocks: int = 0
    ended: bool = False
    reset: int | None = None

    @property
    def done(self):
        return self.ended or self.reset is not None

    def get(self, name):
        return next((value for key, value in self.headers + self.trailers if key == name), None)

    @property
    def http(self):
        return self.get(":status")

    @property
    def status(self):
        """grpc-status, or None when there is none."""
        value = self.get("grpc-status")
        return None if value is None else int(value)

    @property
    def message(self):
        """grpc-message, decoded; it has to be UTF-8 then."""
        return unquote_to_bytes(self.get("grpc-message") or "").decode()


class Wire:
    def __init__(self, port, settings=None, preface=True, acknowledge=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = Encoder(), Decoder()
        self.decoder.max_allowed_table_size = 4096
        self.acknowledge = acknowledge
        self.replies = defaultdict(Reply)
        self.goaways, self.pongs, self.peer_settings = [], [], {}
        self.closed = False
        self.owed = None  # the acknowledgements that wait for the end of what is being poured out
        self.input = b""
        self.block = None  # the HEADERS frame whose CONTINUATION is awaited
        self.next_stream = 1
        self.window, self.windows = 65_535, {}  # what the server lets us send: in all, and by stream
        if preface:
            self.send_bytes(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # --- Sending ---

    def send_bytes(self, data):
        self.socket.sendall(data)

    def send(self, *frames):
        self.send_bytes(b"".join(each.serialize() for each in frames))

    def pour(self, data):
        """Sends for as long as the server takes it, reading meanwhile; False when it has closed or stopped taking."""
        view, deadline = memoryview(data), time.monotonic() + PATIENCE
        self.owed = []  # An acknowledgement in the midst of a frame would garble it.
        while view and not self.closed and time.monotonic() < deadline:
            readable, writable, _ = select.select([self.socket], [self.socket], [], 0.5)
            try:
                if readable:
                    self.read_some()
                if writable:
                    view = view[self.socket.send(view[:65536], socket.MSG_DONTWAIT) :]
                    deadline = time.monotonic() + PATIENCE
            except BlockingIOError:
                pass
            except OSError:
                self.closed = True
        owed, self.owed = self.owed, None
        for each in owed:
            self.send_quietly(each)
        return not view

    def stream(self):
        self.next_stream += 2
        return self.next_stream - 2

    def headers(self, path, *extra, method="POST", omit=()):
        """The fields of a gRPC request; `extra` come after them, `omit` names those to leave out."""
        usual = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "wire"),
                 ("content-type", "application/grpc"), ("te", "trailers")]
        return [pair for pair in usual if pair[0] not in omit] + list(extra)

    def headers_frame(self, stream, fields, end=False):
        flags = ["END_HEADERS"] + (["END_STREAM"] if end else [])
        return HeadersFrame(stream, self.encoder.encode(fields), flags=flags)

    def block_frames(self, stream, block, size=FRAME_BYTES):
        """A header block as HEADERS and as many CONTINUATION as it takes."""
        pieces = [block[at : at + size] for at in range(0, len(block), size)]
        frames = [HeadersFrame(stream, pieces[0])] + [ContinuationFrame(stream, piece) for piece in pieces[1:]]
        frames[-1].flags.add("END_HEADERS")
        return frames

    def data_frame(self, stream, data, end=False):
        return DataFrame(stream, data, flags=["END_STREAM"] if end else [])

    def open(self, path, body=None, *extra, end=True, **how):
        """Sends a request in one piece: without a body the headers end it, unless `end` is False. Its stream."""
        stream = self.stream()
        frames = [self.headers_frame(stream, self.headers(path, *extra, **how), end=end and body is None)]
        if body is not None:
            pieces = [body[at : at + FRAME_BYTES] for at in range(0, len(body), FRAME_BYTES)] or [b""]
            frames += [self.data_frame(stream, piece) for piece in pieces]
            if end:
                frames[-1].flags.add("END_STREAM")
        self.send(*frames)
        return stream

    def call(self, path, body=None, *extra, **how):
        """A request and its reply."""
        return self.reply(self.open(path, body, *extra, **how))

    def send_body(self, stream, body, end=True, size=FRAME_BYTES, padding=0, seconds=PATIENCE):
        """Sends a body as far as the server's windows let it; True when all of it went out. `seconds`: how long a window
        may stay closed."""
        overhead = padding + 1 if padding else 0
        while body:
            if self.replies[stream].done or self.closed:
                return False
            room = min(size, self.window - overhead, self.stream_window(stream) - overhead)
            if room <= 0:
                if not self.read_until(lambda: min(self.window, self.stream_window(stream)) > overhead, seconds):
                    return False
                continue
            piece, body = body[:room], body[room:]
            data = self.data_frame(stream, piece, end=end and not body)
            if padding:
                data.flags.add("PADDED")
                data.pad_length = padding
            self.window -= len(piece) + overhead
            self.windows[stream] = self.windows.get(stream, 0) - len(piece) - overhead
            if not self.pour(data.serialize()):
                return False
        return True

    def stream_window(self, stream):
        return self.peer_settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, 65_535) + self.windows.get(stream, 0)

    # --- Receiving ---

    def reply(self, stream, seconds=PATIENCE):
        """The reply of a stream, awaited to its end or its reset."""
        self.read_until(lambda: self.replies[stream].done, seconds)
        reply = self.replies[stream]
        assert reply.done, f"no answer on stream {stream}: {reply}, goaways {self.goaways}, closed {self.closed}"
        return reply

    def read_until(self, true, seconds=PATIENCE):
        """Reads until `true()`, or the connection's end, or for so long; what `true()` says then."""
        deadline = time.monotonic() + seconds
        while not true() and not self.closed:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                break
            self.read_some()
        return true()

    def read_to_end(self, seconds=PATIENCE):
        """Whether the server closed the connection."""
        return self.read_until(lambda: self.closed, seconds)

    def ping(self, payload=b"are you?"):
        """Whether the server answers a PING: everything sent before it has been looked at then."""
        self.send(PingFrame(0, payload))
        return self.read_until(lambda: payload in self.pongs)

    def read_some(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
        self.input += data
        while len(self.input) >= 9:
            each, length = Frame.parse_frame_header(memoryview(self.input[:9]))
            if len(self.input) < 9 + length:
                break
            each.parse_body(memoryview(self.input[9 : 9 + length]))
            self.input = self.input[9 + length :]
            self.take(each)

    def take(self, each):
        match each:
            case SettingsFrame():
                if "ACK" not in each.flags:
                    self.peer_settings.update(each.settings)
                    if self.acknowledge:
                        self.send_quietly(SettingsFrame(0, flags=["ACK"]))
            case PingFrame():
                if "ACK" in each.flags:
                    self.pongs.append(each.opaque_data)
                else:
                    self.send_quietly(PingFrame(0, each.opaque_data, flags=["ACK"]))
            case GoAwayFrame():
                self.goaways.append(each)
            case WindowUpdateFrame(stream_id=0):
                self.window += each.window_increment
            case WindowUpdateFrame():
                self.windows[each.stream_id] = self.windows.get(each.stream_id, 0) + each.window_increment
            case RstStreamFrame():
                self.replies[each.stream_id].reset = each.error_code
            case DataFrame():
                reply = self.replies[each.stream_id]
                reply.body += each.data
                reply.pieces.append(len(each.data))
                reply.ended |= "END_STREAM" in each.flags
            case HeadersFrame() | ContinuationFrame():
                if isinstance(each, HeadersFrame):
                    self.block = each
                else:
                    self.block.data += each.data
                if "END_HEADERS" in each.flags:
                    self.take_block()

    def take_block(self):
        reply = self.replies[self.block.stream_id]
        decoded = self.decoder.decode(self.block.data)
        if reply.header_blocks:
            reply.trailers = decoded
        else:
            reply.headers = decoded
        reply.header_blocks += 1
        reply.ended |= "END_STREAM" in self.block.flags

    def send_quietly(self, each):
        """An acknowledgement; the server may have gone."""
        try:
            if self.owed is None:
                self.send(each)
            else:
                self.owed.append(each)
        except OSError:
            self.closed = True

    # --- What a test asks of an ending ---

    def ended_with(self):
        """The code of the last GOAWAY, None without one, once the server has closed, which it must."""
        assert self.read_to_end(), f"the connection was not closed; goaways {self.goaways}"
        return self.goaways[-1].error_code if self.goaways else None
