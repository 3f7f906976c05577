"""A systemd of our own: the real program as process 1 of a process namespace, with its own view of the places where
units, the binary, state and configuration are, its own network, and its own branch of the control groups.

It takes root, and a kernel that lets namespaces be made; `why_not()` says what is missing. Nothing of it is left behind
when it ends, and it ends with whoever started it.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from isolated import __file__ as ISOLATED
from keeper import PATIENCE, ROOT

SYSTEMD = "/lib/systemd/systemd"
# Empty in there: what is written to these places stays in there.
OWN = ("/run", "/tmp", "/usr/local/bin", "/etc/systemd/system", "/etc/default", "/var/lib", "/var/log")
NAMESPACES = ("--mount", "--pid", "--cgroup", "--uts", "--ipc", "--net")

INSIDE = r"""
set -e
mount -t proc proc /proc
for place in PLACES; do mount -t tmpfs -o mode=755 tmpfs $place; done
chmod 1777 /tmp
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
printf '[Unit]\nDefaultDependencies=no\nWants=sockets.target\n' > /etc/systemd/system/here.target
export container=namespaces
exec SYSTEMD --system --unit=here.target --show-status=0 --log-target=console --log-level=notice
"""


def cgroup2():
    """Where the control groups of the second version are."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return Path(place)
    return None


def why_not():
    if os.geteuid() != 0:
        return "only root can make the namespaces"
    if not Path(SYSTEMD).exists():
        return "systemd is not installed"
    if cgroup2() is None:
        return "there are no control groups that can be written"
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else None


class Systemd:
    def __init__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.cgroup = cgroup2() / f"agentkeeper-test-{os.getpid()}"
        self.cgroup.mkdir()
        inside = INSIDE.replace("PLACES", " ".join(OWN)).replace("SYSTEMD", SYSTEMD)
        join = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", "-c", join, "bash", self.cgroup]
            + ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
            + [sys.executable, ISOLATED, "bash", "-c", inside],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + PATIENCE
        while self.run("systemctl is-active here.target", check=False).stdout.strip() != "active":
            assert self.process.poll() is None and time.monotonic() < deadline, f"systemd does not run:\n{self.output()}"
            time.sleep(0.05)

    def first(self):
        """The process that is number 1 in there, as it is numbered here."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return children[0] if children else None

    def run(self, script, check=True):
        """Runs a shell's lines in there."""
        first = self.first()
        if first is None:
            return subprocess.CompletedProcess(script, 1, "", "")
        done = subprocess.run(
            ["nsenter", "-t", first, "-m", "-p", "-C", "-u", "-i", "-n", f"--wd={ROOT}", "bash", "-e", "-c", script],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert not check or done.returncode == 0, f"{script}: status {done.returncode}\n{done.stdout}{done.stderr}{self.output()}"
        return done

    def show(self, unit, name):
        return self.run(f"systemctl show -P {name} {unit}").stdout.strip()

    def within_patience(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}\n{self.output()}"
            time.sleep(0.1)

    def output(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()  # and with it, by --kill-child, process 1, and with that all in there
        self.process.wait()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                for path, _, _ in sorted(os.walk(self.cgroup), reverse=True):
                    os.rmdir(path)
                return
            except OSError:  # something in there has not ended yet
                assert time.monotonic() < deadline, f"{self.cgroup} is not empty"
                time.sleep(0.05)
