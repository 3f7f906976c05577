"""Runs a command where the default ports are surely free: isolated.py COMMAND …

The defaults 7070 and 9090 are part of the contract, and the Python package's own tests know no other port. But on a
developer's machine a daemon may well be running there. A network namespace of our own has a loopback
interface and nobody on it; only that interface has to be switched on first, which is what this file is for.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
PORTS = (7070, 9090)


def namespace():
    """What to put before a command so that it runs in a network namespace of its own; nothing where that is forbidden,
    as in some containers: then the ports have to be free."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return [*prefix, sys.executable, __file__]
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise RuntimeError(f"port {port} is taken, and network namespaces are not allowed: stop what listens")
    return []


def switch_on_loopback():
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


if __name__ == "__main__":
    switch_on_loopback()
    os.execvp(sys.argv[1], sys.argv[1:])
