"""The image, as far as it can be made without a registry to pull from: hadolint reads the Dockerfile, and the last stage is
put together out of Debian's own packages and run as the image says."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from isolated import __file__ as ISOLATED
from keeper import BINARY, PATIENCE, ROOT
from places import OPERATIONS, TOOLS

DOCKERFILE = OPERATIONS / "docker/Dockerfile"
# What debian:bookworm-slim has of what a program needs: the C library, and what it depends on.
BASE = {"libc6", "libgcc-s1"}


def instructions():
    """The Dockerfile's instructions, one line each."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def last_stage():
    lines = instructions()
    start = max(index for index, (word, _) in enumerate(lines) if word == "FROM")
    return lines[start:]


def value_of(word):
    (found,) = [rest for each, rest in last_stage() if each == word]
    return found


def runtime_packages():
    (run,) = [rest for word, rest in last_stage() if word == "RUN"]
    return set(re.search(r"apt-get install -y --no-install-recommends\s+(.*?)&&", run)[1].split())


def build_packages():
    (run,) = [rest for word, rest in instructions() if word == "RUN" and "make pkg-config" in rest]
    return set(re.search(r"--no-install-recommends\s+(.*?)&&", run)[1].split())


def libraries():
    """The shared libraries of the binary: its own and theirs."""
    listed = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    assert "not found" not in listed
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}


def package_of(library):
    # A package may say /usr/lib or /lib: they are one.
    for path in (library, library.resolve(), Path(str(library.resolve()).removeprefix("/usr"))):
        found = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    raise AssertionError(f"{library} belongs to no package")


def test_hadolint_has_nothing_to_say():
    done = subprocess.run([TOOLS / "hadolint", "--failure-threshold=style", DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_library_that_the_binary_needs_comes_from_a_package_that_the_image_installs():
    needed = {package_of(library) for library in libraries()}
    assert needed - BASE == runtime_packages()


def test_what_builds_the_image_is_what_builds_the_daemon_elsewhere():
    setup = (ROOT / ".ci/setup").read_text()
    assert build_packages() - {"make"} == set(re.search(r"^packages=\((.*)\)$", setup, re.MULTILINE)[1].split())
    needed = re.search(r"Swift (\d+\.\d+) or newer", setup) or re.search(r"Version (\d+\.\d+) or newer", setup)
    assert instructions()[0] == ["FROM", f"swift:{needed[1]}-bookworm AS build"]


def test_the_image_has_the_version_of_the_program():
    told = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    assert f'org.opencontainers.image.version="{told}"' in value_of("LABEL")
    manifest = (OPERATIONS / "kubernetes/agentkeeper.yaml").read_text()
    assert f"image: agentkeeper:{told}\n" in manifest


def test_what_is_not_in_git_is_not_in_the_image():
    ignored = set((ROOT / ".dockerignore").read_text().split("\n"))
    for line in (ROOT / ".gitignore").read_text().split():
        assert {line.rstrip("/"), f"**/{line.rstrip('/')}"} & ignored or line in ("*.pyc", ".benchmarks/"), line


LIFE = r"""
set -eu
mount --bind $ROOT $ROOT
mount -t proc proc /proc
mount -t proc proc $ROOT/proc
mount -t tmpfs -o uid=$USER_ID,gid=$USER_ID,mode=700 tmpfs $ROOT/var/lib/agentkeeper
mount -o remount,ro,bind $ROOT
inside() { chroot --userspec=$USER_ID:$USER_ID $ROOT "$@"; }
! inside $HEALTH 2> /dev/null
chroot --userspec=$USER_ID:$USER_ID $ROOT $ENTRY $CMD 2> $LOG &
daemon=$!
for attempt in $(seq 600); do
    if inside $HEALTH > /dev/null 2>&1; then break; fi
    sleep 0.1
done
inside $HEALTH
inside agentkeeper status -o json
awk '/^Uid/ { print "uid " $2 }' /proc/$daemon/status
kill -TERM $daemon
wait $daemon
echo ended $?
"""


def test_the_last_stage_runs_read_only_as_its_user_with_nothing_but_its_packages(tmp_path):
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True).returncode:
        pytest.skip("only root can make the namespaces and the chroot")
    # Not below pytest's directory, where other users don't get in.
    with tempfile.TemporaryDirectory(prefix="agentkeeper-image-") as name:
        root = Path(name)
        root.chmod(0o755)
        for package in runtime_packages() | BASE:
            files = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=True).stdout.split("\n")
            for file in map(Path, filter(None, files)):
                if ".so" in file.name and file.exists() and not file.is_dir():
                    place = root / str(file).removeprefix("/usr").lstrip("/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, place)
        for place in ("lib64", "proc", "usr/local/bin", "var/lib/agentkeeper"):
            (root / place).mkdir(parents=True, exist_ok=True)
        loader = next(root.glob("lib/*/ld-linux*"))
        if not (root / "lib64" / loader.name).exists():
            shutil.copy(loader, root / "lib64" / loader.name)
        shutil.copy(BINARY, root / "usr/local/bin/agentkeeper")
        (build,) = [rest for word, rest in instructions() if word == "RUN" and "make build" in rest]
        assert build.split(" && ") == ["make build", "strip .build/release/agentkeeper"]
        subprocess.run(["strip", root / "usr/local/bin/agentkeeper"], check=True)
        environment = dict(re.findall(r"(AGENTKEEPER_\w+)=(\S+)", value_of("ENV")))
        assert len(environment) == 3
        health = json.loads(value_of("HEALTHCHECK").split("CMD", 1)[1])
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private", sys.executable, ISOLATED, "bash", "-c", LIFE],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE,
            env=environment
            | {
                "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "ROOT": str(root),
                "LOG": str(tmp_path / "log"),
                "USER_ID": value_of("USER").split(":")[0],
                "HEALTH": " ".join(health),
                "ENTRY": " ".join(json.loads(value_of("ENTRYPOINT"))),
                "CMD": " ".join(json.loads(value_of("CMD"))),
            },
        )
        log = (tmp_path / "log").read_text()
        assert done.returncode == 0, done.stdout + done.stderr + log
        serving, *status, uid, ended = done.stdout.splitlines()
        assert serving.startswith("serving at") and uid == "uid 10001" and ended == "ended 0"
        assert json.loads("\n".join(status))["durable"] is True
        assert "state is kept in /var/lib/agentkeeper" in log and ":7070" in log
