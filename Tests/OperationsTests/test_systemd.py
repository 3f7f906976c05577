"""The units: as systemd's own checker sees them, against what the daemon does, and under a real systemd."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import real_systemd
from keeper import BINARY, ROOT, Daemon, Watcher, eventually
from places import OPERATIONS

UNITS = OPERATIONS / "systemd"
SERVICE = UNITS / "agentkeeper.service"

# The largest exposure that is allowed, as systemd-analyze counts it: 10 is a service without any restriction. What is
# left is a server's: the network, local sockets, /proc.
MOST_EXPOSURE = 1.2


def settings(path):
    """The unit's settings, each with all of its values."""
    found = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    for unit in UNITS.iterdir():
        # The binary is not installed where the tests run.
        text = unit.read_text().replace("/usr/local/bin/agentkeeper", str(BINARY))
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_finds_a_fault_when_there_is_one(tmp_path):
    (tmp_path / "agentkeeper.service").write_text(SERVICE.read_text().replace("Type=notify", "Type=notfiy"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "agentkeeper.service"], capture_output=True, text=True
    )
    assert "notfiy" in done.stderr


def test_the_service_is_exposed_to_as_little_as_can_be():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={round(MOST_EXPOSURE * 10)}", "--no-pager", SERVICE],
        capture_output=True,
        text=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    exposure = float(re.search(r"exposure level .*: ([\d.]+)", done.stdout)[1])
    assert done.returncode == 0 and exposure <= MOST_EXPOSURE, done.stdout


def filtered_out(filters):
    """What the unit's filter lets through: lists and names, a list with ~ taken away again."""
    allowed = set()
    for each in filters:
        takes_away = each.startswith("~")
        names = set()
        for word in each.removeprefix("~").split():
            names |= members(word) if word.startswith("@") else {word}
        allowed = allowed - names if takes_away else allowed | names
    return allowed


def members(name):
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in listed.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= members(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


@pytest.fixture
def open_directory():
    """One that other users get into, which is not so of pytest's."""
    with tempfile.TemporaryDirectory(prefix="agentkeeper-test-") as name:
        os.chmod(name, 0o777)
        yield Path(name)


# SQLite, for one, makes other calls for root.
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []


def test_every_system_call_of_a_working_life_is_one_that_the_filter_allows(open_directory):
    trace = open_directory / "trace"
    daemon = Daemon(
        "--addr=127.0.0.1:PORT",
        "--metrics-addr=127.0.0.1:0",
        f"--data-dir={open_directory / 'state'}",
        prefix=[*AS_NOBODY, "strace", "-qq", "-f", "-o", str(trace)],
        # The checkout may be where others don't get in, as root's home.
        program=shutil.copy(BINARY, open_directory),
    )
    client = daemon.client()
    watcher = Watcher(client.Watch())
    client.lease("t", client.agent())
    client.agent("silent", ttl=1)
    client.CreateTask(type="x")
    watcher.until("agent.unreachable")
    serving = r"health are served addr=(\S+)"
    eventually(lambda: re.search(serving, daemon.output()), "the address of the metrics")
    metrics = re.search(serving, daemon.output())[1]
    assert subprocess.run(["curl", "-sf", f"http://{metrics}/metrics"], capture_output=True).returncode == 0
    watcher.cancel()
    client.close()
    # Of the daemon itself: strace would be ended by the signal.
    pid = int(trace.read_text().split(maxsplit=1)[0])
    subprocess.run(["kill", "-TERM", str(pid)], check=True)
    assert daemon.wait() == 0
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    allowed = filtered_out(settings(SERVICE)["SystemCallFilter"])
    assert len(used) > 30 and used <= allowed, sorted(used - allowed)
    # And no memory is ever made executable that can be written.
    text = trace.read_text()
    assert not re.search(r"\bm(map|protect)\(.*PROT_WRITE\|PROT_EXEC", text)
    # The C library wants to ask the kernel which addresses this machine has, and does without when it may not.
    families = set(settings(SERVICE)["RestrictAddressFamilies"][0].split()) | {"AF_NETLINK"}
    assert set(re.findall(r"\bsocket\((AF_\w+)", text)) <= families


# MARK: Under a real systemd


@pytest.fixture(scope="module")
def systemd():
    if reason := real_systemd.why_not():
        pytest.skip(f"no systemd can be run here: {reason}")
    running = real_systemd.Systemd()
    # As somebody does who follows the README, with what is built already.
    running.run(as_root(*readme_commands()[:4]))
    yield running
    running.stop()


def readme_commands():
    section = re.search(r"\n### systemd\n(.*?)\n##", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    return [line.strip() for line in section.splitlines() if line.startswith("    sudo ")]


def as_root(*lines):
    return "\n".join(line.removeprefix("sudo ").replace(".build/release/agentkeeper", str(BINARY)) for line in lines)


@pytest.fixture
def service(systemd):
    """The service, running anew as it was installed."""
    systemd.run("rm -rf /etc/systemd/system/agentkeeper.service.d /etc/default/agentkeeper")
    systemd.run("systemctl stop agentkeeper.socket agentkeeper-metrics.socket; systemctl daemon-reload")
    systemd.run("systemctl reset-failed; systemctl restart agentkeeper")
    return systemd


def keeper(systemd, *arguments, check=True):
    return systemd.run(f"/usr/local/bin/agentkeeper {' '.join(arguments)}", check=check)


def test_it_is_active_as_soon_as_it_serves_and_says_so(service):
    assert service.show("agentkeeper", "ActiveState") == "active"
    assert "gRPC is served on 127.0.0.1:7070" in service.show("agentkeeper", "StatusText")
    assert keeper(service, "health").stdout.startswith("serving")
    assert service.show("agentkeeper", "UnitFileState") == "enabled"


def test_it_runs_under_all_of_the_restrictions(service):
    pid = service.show("agentkeeper", "MainPID")
    status = service.run(f"cat /proc/{pid}/status").stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Seccomp"] == "2" and facts["NoNewPrivs"] == "1" and int(facts["CapEff"], 16) == 0
    assert all(int(uid) >= 61184 for uid in facts["Uid"].split())  # DynamicUser's range begins there
    mounts = service.run(f"cat /proc/{pid}/mounts").stdout
    assert re.search(r" /usr\S* \S+ ro,| / \S+ ro,", mounts)


def test_state_is_kept_over_a_restart_and_belongs_to_nobody_else(service):
    agent = json.loads(keeper(service, "agents", "register", "anna", "--ttl", "1h", "-o", "json").stdout)["agent_id"]
    keeper(service, "leases", "acquire", "t", "--agent", agent, "--ttl", "1h")
    service.run("systemctl restart agentkeeper")
    assert "anna" in keeper(service, "agents", "list").stdout and "t" in keeper(service, "leases", "list").stdout
    assert service.run("stat -Lc %a /var/lib/agentkeeper").stdout.strip() == "700"
    assert "agentkeeper.db" in service.run("ls /var/lib/private/agentkeeper").stdout
    keeper(service, "agents", "deregister", agent)


def drop_in(systemd, text):
    systemd.run(f"mkdir -p /etc/systemd/system/agentkeeper.service.d; printf '{text}' > /etc/systemd/system/agentkeeper.service.d/test.conf")
    systemd.run("systemctl daemon-reload; systemctl restart agentkeeper")


def test_systemd_kills_one_that_no_longer_works_and_starts_another(service):
    drop_in(service, "[Service]\\nWatchdogSec=10\\nTimeoutAbortSec=1\\nLimitCORE=0\\n")
    pid = service.show("agentkeeper", "MainPID")
    service.run("sleep 15")
    assert service.show("agentkeeper", "MainPID") == pid  # it is fed
    service.run(f"kill -STOP {pid}")  # which nothing but a watchdog notices
    service.within_patience(lambda: service.show("agentkeeper", "NRestarts") == "1", "another is started")
    service.within_patience(lambda: keeper(service, "health", check=False).returncode == 0, "it serves")
    assert service.show("agentkeeper", "MainPID") != pid


def test_one_that_crashes_is_started_again_and_one_with_a_wrong_flag_is_not(service):
    service.run(f"kill -KILL {service.show('agentkeeper', 'MainPID')}")
    service.within_patience(lambda: service.show("agentkeeper", "NRestarts") == "1", "another is started")
    service.within_patience(lambda: keeper(service, "health", check=False).returncode == 0, "it serves")
    service.run("echo AGENTKEEPER_LOG_LEVEL=shouting > /etc/default/agentkeeper")
    assert service.run("systemctl restart agentkeeper", check=False).returncode != 0
    assert service.show("agentkeeper", "ActiveState") == "failed"
    assert service.show("agentkeeper", "ExecMainStatus") == "64"


def test_a_flag_is_set_without_editing_the_unit(service):
    service.run("echo AGENTKEEPER_ADDR=127.0.0.1:7071 > /etc/default/agentkeeper; systemctl restart agentkeeper")
    assert keeper(service, "health", "--addr", "127.0.0.1:7071").returncode == 0


def test_with_the_sockets_it_starts_when_it_is_called_and_nobody_is_refused_meanwhile(service):
    service.run(as_root(*readme_commands()[4:]))
    for unit in ("agentkeeper.socket", "agentkeeper-metrics.socket", "agentkeeper.service"):
        assert (service.show(unit, "ActiveState"), service.show(unit, "UnitFileState")) == ("active", "enabled")
    service.run("systemctl stop agentkeeper.service")
    assert service.show("agentkeeper", "ActiveState") == "inactive"
    assert keeper(service, "health").returncode == 0  # which starts it, and waits
    service.within_patience(lambda: service.show("agentkeeper", "ActiveState") == "active", "systemd knows")
    assert service.run("curl -sf http://127.0.0.1:9090/readyz").stdout.strip() == "ready"
    # While the daemon is replaced three times the port is never closed, which curl would tell by status 7. What it may
    # see is the end of a connection that the old daemon had taken already.
    service.run(
        "(for i in 1 2 3; do systemctl restart agentkeeper; done; touch /tmp/done) & count=0; "
        "until [ -e /tmp/done ]; do curl -sf http://127.0.0.1:9090/healthz > /dev/null || [ $? -ne 7 ]; count=$((count + 1)); done; "
        "rm /tmp/done; wait; [ $count -gt 3 ]"
    )
    service.run("systemctl disable --now agentkeeper.socket agentkeeper-metrics.socket agentkeeper.service")
