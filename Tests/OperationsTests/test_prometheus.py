"""A real Prometheus scrapes a real daemon at which real agents work: the rules and every panel of the board, on that."""

import json
import math
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress

import pytest
import yaml

from keeper import PATIENCE, Code, Daemon, Watcher, free_ports, refused
from places import BOARD, OPERATIONS, PROMETHEUS, RULES
from raw_http2 import Connection

BOARD_JSON = json.loads(BOARD.read_text())
PANELS = [panel for panel in BOARD_JSON["panels"] if panel["type"] != "row"]
MAX_CONNECTIONS = 20


def sooner(rules):
    """The rules, but for how long an alert has to be true before anybody is told."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    return rules


class Prometheus:
    def __init__(self, directory, target):
        (self.port,) = free_ports(1)
        config = yaml.safe_load((OPERATIONS / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        (directory / RULES.name).write_text(yaml.safe_dump(sooner(yaml.safe_load(RULES.read_text()))))
        self.log = open(directory / "log", "w+")
        self.process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is not ready yet
                raise
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """The values of an expression now, by their labels."""
        found = self.get("query", query=expression)["result"]
        return [float(each["value"][1]) for each in found]

    def firing(self):
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"}

    def is_up(self):
        assert self.process.poll() is None, "Prometheus ended"
        try:
            return [target["health"] for target in self.get("targets")["activeTargets"]] == ["up"]
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.log.close()


def within_patience(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.2)


def work(client, done):
    """A life as agents lead it, again and again: leases, claims, elections, refusals."""
    agent = client.agent("worker", tools=["browser"])
    client.Campaign(group="g", agent_id=agent)
    client.CreateTask(type="for nobody", required_tools=["a tool that nobody has"])
    while not done.wait(0.05):
        client.Heartbeat(agent_id=agent)
        lease = client.lease("t", agent)
        client.ReleaseLease(task_id="t", agent_id=agent, token=lease.token)
        client.CreateTask(type="x")
        client.CompleteTask(task_id=client.ClaimTask(agent_id=agent).task.id, agent_id=agent)
        with refused(Code.NOT_FOUND):
            client.Heartbeat(agent_id="0" * 32)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A daemon that keeps its state, agents at work, and a Prometheus that has seen some of it."""
    directory = tmp_path_factory.mktemp("prometheus")
    (metrics_port,) = free_ports(1)
    daemon = Daemon(
        "--addr=127.0.0.1:PORT",
        f"--metrics-addr=127.0.0.1:{metrics_port}",
        f"--data-dir={directory / 'state'}",
        f"--max-connections={MAX_CONNECTIONS}",
    )
    daemon.metrics_port = metrics_port
    prometheus = Prometheus(directory, f"127.0.0.1:{metrics_port}")
    done = threading.Event()
    client = daemon.client()
    watcher = Watcher(client.Watch())
    worker = threading.Thread(target=work, args=(client, done))
    worker.start()
    try:
        within_patience(prometheus.is_up, "Prometheus scrapes the daemon")
        yield daemon, prometheus
    finally:
        done.set()
        worker.join()
        watcher.cancel()
        prometheus.stop()
        daemon.stop()


@pytest.fixture(scope="module")
def prometheus(world):
    within_patience(lambda: world[1].query("count_over_time(agentkeeper_tasks[1m]) >= 5"), "some scrapes")
    return world[1]


def as_prometheus_has_it(expression):
    """What Grafana makes of a panel's expression before it asks."""
    expression = expression.replace("$__rate_interval", "15s").replace("$instance", ".*")
    assert "$" not in expression
    return expression


def targets():
    return [(f"{panel['title']}: {target['refId']}", target["expr"]) for panel in PANELS for target in panel["targets"]]


def test_the_rules_are_loaded_and_work(prometheus):
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    written = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {rule.get("alert") or rule["record"] for rule in written}
    within_patience(
        lambda: {rule["health"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]} == {"ok"},
        "every rule was evaluated",
    )
    for rule in written:
        if "record" in rule:
            within_patience(lambda: prometheus.query(rule["record"]), rule["record"])


def test_a_rule_asks_only_for_what_the_daemon_tells(world):
    daemon, _ = world
    with urllib.request.urlopen(f"http://127.0.0.1:{daemon.metrics_port}/metrics") as reply:
        told = set(re.findall(r"^(\w+)[{ ]", reply.read().decode(), re.MULTILINE))
    asked = set(re.findall(r"\b(?:agentkeeper|process)_\w+", RULES.read_text()))
    assert asked - told == {"agentkeeper_rpc_status_total"} - told and len(asked) > 20


@pytest.mark.parametrize("name, expression", targets(), ids=[name for name, _ in targets()])
def test_a_panel_of_the_board_has_something_to_show(prometheus, name, expression):
    within_patience(
        lambda: any(math.isfinite(value) for value in prometheus.query(as_prometheus_has_it(expression))), expression
    )


def test_the_boards_annotations_and_variables_can_be_asked_for(prometheus):
    for annotation in BOARD_JSON["annotations"]["list"]:
        if "expr" in annotation:
            prometheus.query(as_prometheus_has_it(annotation["expr"]))
    variables = {variable["name"]: variable for variable in BOARD_JSON["templating"]["list"]}
    metric = re.fullmatch(r"label_values\((\w+), instance\)", variables["instance"]["query"]["query"])[1]
    assert prometheus.query(metric) == [1]


# What a slow machine brings, and what is to be seen then.
SLOWNESS = {
    "AgentKeeperSlow": "max_over_time(agentkeeper:rpc_duration_seconds:p99_rate5m[10m]) > 0.1",
    "AgentKeeperCommitsSlow": "max_over_time(agentkeeper:journal_commit_duration_seconds:p99_rate5m[10m]) > 0.25",
}


def test_nothing_fires_while_all_is_well(prometheus):
    def well():
        slow = {alert for alert, expression in SLOWNESS.items() if prometheus.query(expression)}
        return prometheus.firing() <= slow

    within_patience(well, "nothing fires")  # a scrape may have taken too long, and is over


def test_agents_that_fall_silent_wake_somebody_and_again_when_they_are_lost(world, prometheus):
    daemon, _ = world
    client = daemon.client()
    for _ in range(4):
        client.agent("silent", ttl=2)

    def told():
        client.agent("silent", ttl=2)  # each is unreachable for two seconds only: the next one is in its place
        return "AgentKeeperAgentsUnreachable" in prometheus.firing()

    within_patience(told, "silent agents are told of")
    within_patience(lambda: "AgentKeeperAgentsLost" in prometheus.firing(), "lost agents are told of")
    within_patience(lambda: "AgentKeeperAgentsUnreachable" not in prometheus.firing(), "it is over: they are dead")
    client.close()


def test_peers_that_break_the_protocol_are_told_of(world, prometheus):
    daemon, _ = world
    for _ in range(6):
        connection = Connection(daemon.port)
        with suppress(OSError):  # it is cut off in the middle of this
            connection.socket.sendall(b"\x00\x00\x08\x06\x00\x00\x00\x00\x00agflood!" * 20_000)  # PING
            while connection.socket.recv(65_536):
                pass
        connection.close()
    within_patience(lambda: "AgentKeeperAbusiveConnections" in prometheus.firing(), "abusive connections are told of")


def test_a_client_that_opens_too_many_connections_is_told_of_before_any_is_refused_and_after(world, prometheus):
    daemon, _ = world
    within_patience(lambda: prometheus.query("agentkeeper_connections_open") == [1], "the others have left")
    few = [Connection(daemon.port) for _ in range(MAX_CONNECTIONS - 2)]
    within_patience(lambda: "AgentKeeperConnectionsNearLimit" in prometheus.firing(), "the limit is near")
    assert "AgentKeeperConnectionsRefused" not in prometheus.firing()
    more = [Connection(daemon.port) for _ in range(4)]
    within_patience(lambda: "AgentKeeperConnectionsRefused" in prometheus.firing(), "connections are refused")
    for connection in few + more:
        connection.close()


def test_a_daemon_that_is_gone_is_told_of(world, prometheus):
    daemon, _ = world
    daemon.process.send_signal(signal.SIGSTOP)  # it answers nobody
    try:
        within_patience(lambda: "AgentKeeperDown" in prometheus.firing(), "the daemon is down")
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    within_patience(lambda: "AgentKeeperDown" not in prometheus.firing(), "it is back")
