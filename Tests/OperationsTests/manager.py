"""A service manager for the tests: starts the daemon as systemd does, with sockets that are open already, and hears what
it is told. The real one is in test_systemd.py."""

import os
import select
import signal
import socket
import subprocess
import tempfile
import time

from keeper import BINARY, PATIENCE, data_directory

# Becomes the daemon, so that LISTEN_PID and WATCHDOG_PID can name it: a shell's $$ stays the same over exec.
STARTER = 'export LISTEN_PID="${SET_LISTEN_PID-$$}" WATCHDOG_PID="${SET_WATCHDOG_PID-$$}"; LISTEN_FDS="${SET_LISTEN_FDS-$LISTEN_FDS}"; exec "$@"'


class Manager:
    """One start of the daemon. Sockets become descriptors from 3 on, under the names of `names`."""

    started = []

    def __init__(self, *arguments, sockets=(), names=None, watchdog=None, abstract=False, listens=True, **environment):
        self.directory = tempfile.TemporaryDirectory(prefix="manager-")
        path = f"{self.directory.name}/notify"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind("\0" + path if abstract else path)
        variables = {name: value for name, value in os.environ.items() if not name.startswith("AGENTKEEPER_")}
        variables |= {"NOTIFY_SOCKET": ("@" if abstract else "") + path}
        if sockets:
            variables["LISTEN_FDS"] = str(len(sockets))
        if names is not None:
            variables["LISTEN_FDNAMES"] = ":".join(names)
        if watchdog:
            variables["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        variables |= environment
        self.state = data_directory(arguments, variables)
        self.log = tempfile.TemporaryFile("w+")
        fds = [each.fileno() for each in sockets]
        self.process = subprocess.Popen(
            ["bash", "-c", self.renumbering(fds) + STARTER, "bash", BINARY, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=variables,
            pass_fds=fds,
        )
        Manager.started.append(self)

    @classmethod
    def end_all(cls):
        """Also after a test that failed before it came to stopping what it had started."""
        while cls.started:
            manager = cls.started.pop()
            manager.process.kill()
            manager.process.wait(PATIENCE)

    @staticmethod
    def renumbering(fds):
        """First away from where they are to be, then there."""
        away = "".join(f"exec {100 + index}<&{fd}; " for index, fd in enumerate(fds))
        closed = "".join(f"exec {fd}<&-; " for fd in fds)
        back = "".join(f"exec {3 + index}<&{100 + index} {100 + index}<&-; " for index in range(len(fds)))
        return away + closed + back

    def hear(self, timeout=PATIENCE):
        """The next word, as a dictionary; None when none comes."""
        if not select.select([self.notify], [], [], timeout)[0]:
            return None
        return dict(line.split("=", 1) for line in self.notify.recv(65_536).decode().split("\n"))

    def hear_until(self, name):
        """The first word that has this variable in it; the others before it are left behind."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            word = self.hear()
            assert word is not None, f"nothing was heard of {name}:\n{self.output()}"
            if name in word:
                return word
        raise AssertionError(f"no {name}")

    def hear_all(self):
        """What has come and was not heard yet."""
        words = []
        while word := self.hear(timeout=0):
            words.append(word)
        return words

    def output(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()


def listener(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.bind((host, 0))
    opened.listen()
    return opened


def port_of(opened):
    return opened.getsockname()[1]
