"""The command line as a person or a script uses it: real processes, and a terminal where it matters."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from keeper import BINARY, PATIENCE

IDS = re.compile(r"\b[0-9a-f]{32}\b")


class Shell:
    """Runs commands against one daemon."""

    def __init__(self, address, **environment):
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("AGENTKEEPER_") and name not in ("COLUMNS", "NO_COLOR", "CLICOLOR_FORCE")
        }
        self.environment |= {"PATH": f"{BINARY.parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "TERM": "xterm"}
        if address:
            self.environment["AGENTKEEPER_ADDR"] = address
        self.environment |= environment
        self.started = []

    def run(self, *arguments, stdin=None, status=0, environment=None, timeout=PATIENCE):
        """Runs a command to its end, and gives what it wrote to standard output."""
        done = self.outcome(*arguments, stdin=stdin, environment=environment, timeout=timeout)
        assert done.returncode == status, f"status {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def outcome(self, *arguments, stdin=None, environment=None, timeout=PATIENCE):
        return subprocess.run(
            [BINARY, *map(str, arguments)],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environment | (environment or {}),
            timeout=timeout,
        )

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "-o", "json", **options))

    def refusal(self, *arguments, status):
        """The one line on standard error with which a command ends."""
        done = self.outcome(*arguments)
        assert done.returncode == status, f"status {done.returncode}: {done.stdout}{done.stderr}"
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("agentkeeper: "), done.stderr
        return done.stderr

    def start(self, *arguments, **options):
        """Starts a command and leaves it running. Nothing is sent to it by the terminal of who runs the tests."""
        process = subprocess.Popen(
            [BINARY, *map(str, arguments)],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            **options,
        )
        self.started.append(process)
        return process

    def end(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


class Terminal:
    """A terminal of its own, with a program in it."""

    def __init__(self, shell, arguments, columns=80, **environment):
        self.text = ""
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], list(map(str, arguments)), shell.environment | environment)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))

    def type(self, text):
        os.write(self.file, text.encode())

    def read(self, timeout=0.2):
        ready, _, _ = select.select([self.file], [], [], timeout)
        if not ready:
            return True
        try:
            data = os.read(self.file, 65_536)
        except OSError:
            return False
        self.text += data.decode()
        return bool(data)

    def expect(self, pattern, timeout=PATIENCE):
        """Reads until the pattern is there, and takes all up to its end."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.text)
            if found:
                self.text = self.text[found.end() :]
                return found
            if time.monotonic() > deadline or not self.read():
                pytest.fail(f"no {pattern!r} in {self.text!r}")

    def rest(self):
        """All that is written until the end, and the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.read() and time.monotonic() < deadline:
            pass
        os.close(self.file)
        return self.text.replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.rest()


def on_terminal(shell, *arguments, columns=80, **environment):
    """What a command shows on a terminal. It starts when the terminal has its size."""
    line = " ".join(map(str, arguments))
    terminal = Terminal(shell, ["sh", "-c", f"read go; exec {BINARY} {line}"], columns, **environment)
    terminal.type("go\n")
    text, status = terminal.rest()
    assert status == 0, text
    return text.removeprefix("go\n")


def plain(text):
    """Without what differs from run to run: ids, tokens, times."""
    names = {}

    def name(found):
        # As wide as an id, so that columns stay where they are.
        return names.setdefault(found.group(), f"ID{len(names) + 1}".ljust(32, "."))

    text = IDS.sub(name, text)
    text = re.sub(r"\b1[0-9]{15}\b", "TOKEN...........", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "YYYY-MM-DDThh:mm:ss.mmmZ", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}\b", "hh:mm:ss.mmm", text)
    text = re.sub(r'("(?:silent_ms|status_changes_in_ms|remaining_ms|uptime_ms)": ?)\d+', r"\g<1>N", text)
    # How long ago differs, and with it how wide a column is: that columns line up has a test of its own.
    text = re.sub(r"\bnow\b|\b\d+m?s ago\b", "now", text)
    text = re.sub(r"(?m)^(Up +)\S+,", r"\1TIME,", text)
    text = re.sub(r"UNREACHABLE in \S+", "UNREACHABLE in TIME", text)
    text = re.sub(r"(?<=\S) {2,}", "  ", text)
    return re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", text)


def lives(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
