"""HTTP/2 by hand, for what no gRPC client can be made to send. One connection; streams are read one after another."""

import select
import socket
import struct
from collections import Counter

import h2.config
import h2.connection
import h2.events
import h2.settings

from keeper import PATIENCE


def frame(message, compressed=False):
    """A gRPC message with its prefix of five bytes."""
    return struct.pack(">?I", compressed, len(message)) + message


class Reply:
    def __init__(self):
        self.headers = None
        self.trailers = None
        self.data = b""
        self.reset = None
        self.ended = False

    @property
    def http_status(self):
        return int(self.headers[":status"])

    @property
    def grpc_status(self):
        """The number of the status, wherever it is: trailers, or headers if there is nothing else."""
        return int((self.trailers or self.headers)["grpc-status"])


class Connection:
    def __init__(self, port, window=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.http2 = h2.connection.H2Connection(
            h2.config.H2Configuration(header_encoding="utf-8", validate_outbound_headers=False)
        )
        if window is not None:
            self.http2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
        self.http2.initiate_connection()
        self.replies = {}
        self.goaway = []
        self.held_back = Counter()  # by stream: bytes that came while the window was kept shut
        self.flush()

    def flush(self):
        self.socket.sendall(self.http2.data_to_send())

    def start(self, path, *extra, method="POST", content_type="application/grpc", timeout=None):
        """Opens a stream, and gives its number."""
        stream = self.http2.get_next_available_stream_id()
        headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        headers += [("te", "trailers")] + ([("content-type", content_type)] if content_type else [])
        headers += [("grpc-timeout", timeout)] if timeout else []
        self.replies[stream] = Reply()
        self.http2.send_headers(stream, headers + list(extra))
        self.flush()
        return stream

    def send(self, stream, data, end=True):
        """Sends a body as the peer's windows allow."""
        while data and not self.replies[stream].ended:
            size = min(len(data), self.http2.local_flow_control_window(stream), self.http2.max_outbound_frame_size)
            if size == 0:
                self.receive()
                continue
            self.http2.send_data(stream, data[:size])
            data = data[size:]
            self.flush()
        if end and not self.replies[stream].ended:
            self.http2.end_stream(stream)
            self.flush()

    def receive(self, acknowledge=True):
        """Reads once, and notes what came. False at the end of the connection."""
        if acknowledge:
            self.open_windows()
        received = self.socket.recv(65_536)
        for event in self.http2.receive_data(received):
            reply = self.replies.get(getattr(event, "stream_id", None))
            match event:
                case h2.events.ConnectionTerminated():
                    self.goaway.append(event)
                case h2.events.ResponseReceived():
                    reply.headers = dict(event.headers)
                case h2.events.TrailersReceived():
                    reply.trailers = dict(event.headers)
                case h2.events.DataReceived():
                    reply.data += event.data
                    self.held_back[event.stream_id] += event.flow_controlled_length
                case h2.events.StreamReset():
                    reply.reset = event.error_code
                    reply.ended = True
                case h2.events.StreamEnded():
                    reply.ended = True
        self.open_windows() if acknowledge else self.flush()
        return bool(received)

    def open_windows(self):
        for stream, size in self.held_back.items():
            if size:
                self.http2.acknowledge_received_data(size, stream)
        self.held_back.clear()
        self.flush()

    def stay(self):
        """Answers the daemon's pings, so that it does not take us for dead, and opens no window."""
        while select.select([self.socket], [], [], 0)[0] and self.receive(acknowledge=False):
            pass

    def reply(self, stream):
        """The whole reply."""
        while not self.replies[stream].ended:
            if not self.receive():
                raise ConnectionError("the daemon closed the connection in the middle of a reply")
        return self.replies[stream]

    def call(self, path, body=b"", *extra, **options):
        stream = self.start(path, *extra, **options)
        self.send(stream, body)
        return self.reply(stream)

    def messages(self, reply):
        """The gRPC messages of a reply as (compressed, bytes), as far as they are complete."""
        data, found = reply.data, []
        while len(data) >= 5:
            compressed, length = struct.unpack(">?I", data[:5])
            if len(data) < 5 + length:
                break
            found.append((compressed, data[5 : 5 + length]))
            data = data[5 + length :]
        return found

    def close(self):
        self.socket.close()
