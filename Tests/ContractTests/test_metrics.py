"""The second listener: /healthz, /readyz, /metrics."""

import re
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

from keeper import PATIENCE, ROOT, Watcher, eventually, pb

PROMTOOL = shutil.which("promtool") or ROOT / ".venv/bin/promtool"


@pytest.fixture
def get(daemon):
    def fetch(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.metrics_port}{path}", timeout=PATIENCE) as reply:
            return reply.status, reply.headers, reply.read().decode()

    return fetch


@pytest.fixture
def metric(get):
    """The value of a series, or the sum of those whose labels contain the given ones."""

    def read(name, **labels):
        total = 0.0
        for line in get("/metrics")[2].splitlines():
            found = re.fullmatch(rf"{name}(?:{{(.*)}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    return read


def test_healthz_says_ok(get):
    status, _, body = get("/healthz")
    assert status == 200 and body.strip() == "ok"


def test_readyz_says_that_it_serves(get):
    def is_ready():
        try:
            return get("/readyz")[0] == 200
        except urllib.error.HTTPError as error:
            # It says so when its first lines are written, a moment after the port is open.
            assert error.code == 503
            return False

    eventually(is_ready, "it is ready")


def test_the_front_page_is_a_page(get):
    status, headers, body = get("/")
    assert status == 200 and headers.get_content_type() == "text/html" and "<" in body


def test_an_unknown_page_is_404(get):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get("/nothing")
    assert caught.value.code == 404


def test_promtool_has_nothing_to_say(client, get):
    client.lease("t", client.agent())
    Watcher(client.Watch()).call.initial_metadata()
    status, headers, body = get("/metrics")
    assert status == 200 and headers.get_content_type() == "text/plain" and "version=0.0.4" in headers["content-type"]
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=body, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_agents_are_counted_until_they_die(client, metric):
    assert metric("agentkeeper_agents_alive") == 0
    agents = [client.agent() for _ in range(3)]
    assert metric("agentkeeper_agents_alive") == 3
    client.Deregister(agent_id=agents[0])
    assert metric("agentkeeper_agents_alive") == 2


def test_the_age_of_the_oldest_task_that_nobody_works_on_is_told(client, metric):
    assert metric("agentkeeper_tasks_oldest_pending_age_seconds") == 0
    agent = client.agent()
    client.CreateTask(type="x")
    age = metric("agentkeeper_tasks_oldest_pending_age_seconds")
    assert 0 < age < metric("agentkeeper_tasks_oldest_pending_age_seconds")
    client.ClaimTask(agent_id=agent)
    assert metric("agentkeeper_tasks_oldest_pending_age_seconds") == 0


def test_the_limit_of_connections_is_told(metric):
    assert metric("agentkeeper_connections_max") == 10_000


def test_leases_and_claims_are_counted_while_they_are_held(client, metric):
    agent = client.agent()
    lease = client.lease("t", agent)
    client.CreateTask(type="x")
    claim = client.ClaimTask(agent_id=agent).task
    assert metric("agentkeeper_leases_active") == 2
    client.ReleaseLease(task_id="t", agent_id=agent, token=lease.token)
    assert metric("agentkeeper_leases_active") == 1
    client.CompleteTask(task_id=claim.id, agent_id=agent)
    assert metric("agentkeeper_leases_active") == 0


def test_calls_are_counted_by_method(client, metric, get):
    agent = client.agent()
    for _ in range(5):
        client.Heartbeat(agent_id=agent)
    counted = dict(re.findall(r'^agentkeeper_rpc_total\{method="([^"]*)"\} (\S+)$', get("/metrics")[2], re.MULTILINE))
    by_name = {method.rsplit("/", 1)[-1].rsplit(".", 1)[-1]: float(count) for method, count in counted.items()}
    assert by_name["Heartbeat"] == 5 and by_name["Register"] == 1


def test_there_is_what_an_operator_needs(get):
    names = set(re.findall(r"^# TYPE (\S+)", get("/metrics")[2], re.MULTILINE))
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names
    for subject in ("connection", "stream", "watcher", "lag", "event", "expir", "queue", "seconds", "info"):
        assert any(subject in name for name in names if name.startswith("agentkeeper_")), subject


def test_connections_and_watchers_are_counted_while_they_last(daemon, client, get):
    def gauge(word):
        found = re.findall(rf"^agentkeeper_\w*{word}\w*(?:{{.*}})? (\S+)$", get("/metrics")[2], re.MULTILINE)
        return sum(map(float, found))

    client.agent()
    # Whoever looked whether the port was open is gone when the daemon has heard of it.
    eventually(lambda: gauge("connections_open") == 1, "there is one connection")
    other = daemon.client()
    other.agent()
    assert gauge("connections_open") == 2
    before = gauge("watchers")
    watcher = Watcher(client.Watch())
    client.agent()
    assert gauge("watchers") > before
    watcher.cancel()
    eventually(lambda: gauge("watchers") == before, "the watcher is gone from the count")


def test_events_and_failures_move_their_counters(client, get):
    def counters():
        return dict(re.findall(r"^(agentkeeper_\S+) (\S+)$", get("/metrics")[2], re.MULTILINE))

    before = counters()
    client.SetPolicy(policy=dict(id="p", subject="s", action="a", resource="r", effect=pb.POLICY_EFFECT_ALLOW))
    after = counters()
    moved = {name for name in after if after[name] != before.get(name)}
    assert any("event" in name for name in moved) and any("rpc" in name for name in moved)
