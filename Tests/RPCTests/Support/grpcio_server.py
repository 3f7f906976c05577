"""A gRPC server by grpcio, for our client to call: the methods of test.Echo, bytes in, bytes out.

Prints its port and serves until its standard input ends, so it never outlives the test that started it.
"""

import sys
import threading
from concurrent import futures

import grpc


def unary(request, context):
    context.send_initial_metadata([("initial", "yes"), ("initial-bin", b"\x00\xff")])
    context.set_trailing_metadata(
        [pair for pair in context.invocation_metadata() if pair[0].startswith("x-")]
        + [("encoding", dict(context.invocation_metadata()).get("grpc-accept-encoding", ""))]
    )
    return request


def count(request, context):
    for number in range(int.from_bytes(request, "big")):
        yield number.to_bytes(4, "big")


def collect(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def chat(requests, context):
    yield from requests


def fail(request, context):
    context.set_trailing_metadata([("reason-bin", b"\x00\xff")])
    code = next(code for code in grpc.StatusCode if code.value[0] == request[0])
    context.abort(code, request[1:].decode())


waiting = threading.Semaphore(0)
ended = threading.Semaphore(0)


def wait(request, context):
    """Waits until the call is over, and says so to `ends`."""
    context.add_callback(ended.release)
    waiting.release()
    while context.is_active():
        ended.acquire(timeout=0.05)
    waiting.release()
    return b""


def ends(request, context):
    """Returns when a call of `wait` has begun (b"b") or ended (b"e")."""
    waiting.acquire()
    return request


def left(request, context):
    return str(int(context.time_remaining() or 0)).encode()


def gzipped(request, context):
    context.set_compression(grpc.Compression.Gzip)
    return request


def handlers():
    return grpc.method_handlers_generic_handler(
        "test.Echo",
        {
            "Unary": grpc.unary_unary_rpc_method_handler(unary),
            "Gzipped": grpc.unary_unary_rpc_method_handler(gzipped),
            "Count": grpc.unary_stream_rpc_method_handler(count),
            "Collect": grpc.stream_unary_rpc_method_handler(collect),
            "Chat": grpc.stream_stream_rpc_method_handler(chat),
            "Fail": grpc.unary_unary_rpc_method_handler(fail),
            "Wait": grpc.unary_unary_rpc_method_handler(wait),
            "Ends": grpc.unary_unary_rpc_method_handler(ends),
            "Left": grpc.unary_unary_rpc_method_handler(left),
        },
    )


def main():
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=16), options=[("grpc.max_concurrent_streams", 8)]
    )
    server.add_generic_rpc_handlers((handlers(),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    # A line stops gracefully, within its seconds; the end of the input at once.
    line = sys.stdin.readline()
    server.stop(float(line) if line.strip() else 0).wait()


main()
