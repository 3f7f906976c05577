"""`agentkeeper health`, as a container's health check asks it."""

import json
import signal
import socket
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from keeper import free_ports
from shell import Shell


def test_a_daemon_that_serves_is_healthy(shell, daemon):
    assert shell.run("health") == f"serving at 127.0.0.1:{daemon.port}\n"
    assert json.loads(shell.run("health", "-o", "json")) == {"addr": f"127.0.0.1:{daemon.port}", "serving": True}


def test_no_daemon_is_status_69_at_once():
    (port,) = free_ports(1)
    assert "connection refused" in Shell(f"127.0.0.1:{port}").refusal("health", status=69)


def test_one_that_does_not_answer_in_time_is_status_69():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shell = Shell(f"127.0.0.1:{silent.getsockname()[1]}")
        assert "has not answered" in shell.refusal("health", "--deadline", "300ms", status=69)


def test_a_daemon_that_is_stopped_is_not_healthy(daemon):
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        shell = Shell(f"127.0.0.1:{daemon.port}")
        assert "has not answered" in shell.refusal("health", "--deadline", "300ms", status=69)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    assert shell.run("health").startswith("serving")


def test_the_health_service_alone_decides():
    """Whatever else a server does: one that says NOT_SERVING is not healthy."""
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        shell = Shell(f"127.0.0.1:{port}")
        assert "is not serving" in shell.refusal("health", status=69)
        servicer.set("", health_pb2.HealthCheckResponse.SERVING)
        assert shell.run("health") == f"serving at 127.0.0.1:{port}\n"
    finally:
        server.stop(None).wait()
