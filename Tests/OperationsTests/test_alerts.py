"""The alert rules, each by promtool: on which numbers it fires, with which words, and on which it keeps quiet."""

import json
import subprocess

import pytest
import yaml

from places import OPERATIONS, PROMTOOL, RULES

GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}

TARGET = {"job": "agentkeeper", "instance": "keeper:9090"}


def series(name, **labels):
    return name + json.dumps(TARGET | labels).replace('": ', '"=').replace('{"', "{").replace(', "', ", ").replace('"=', "=")


def buckets(name, method, slow):
    """A hundred calls a minute, so many of them slow: in the bucket up to 0.5 s, and the others up to 1 ms."""
    labels = {"method": method} if method else {}
    rates = {"0.001": 100 - slow, "0.5": 100, "+Inf": 100}
    return {series(name, le=bound, **labels): f"0+{rate}x60" for bound, rate in rates.items()}


UP = series("up")
STARTED = series("process_start_time_seconds")
FINE = "agentkeeper_rpc_total"
BEAT, FIND, CLAIM = (f"/agentkeeper.v1.{name}" for name in ("RegistryService/Heartbeat", "RegistryService/Find", "TaskService/ClaimTask"))


def calls(code, failed):
    return {
        series("agentkeeper_rpc_total", method=BEAT): "0+1000x60",
        series("agentkeeper_rpc_status_total", method=BEAT, code="OK"): f"0+{1000 - failed}x60",
        series("agentkeeper_rpc_status_total", method=BEAT, code=code): f"0+{failed}x60",
    }


def slow_watchers():
    """A quiet daemon that ends a watcher every five minutes: two calls in forty."""
    watch = "/agentkeeper.v1.WatchService/Watch"
    return {
        series("agentkeeper_rpc_total", method=BEAT): "0+8x60",
        series("agentkeeper_rpc_status_total", method=BEAT, code="OK"): "0+8x60",
        series("agentkeeper_rpc_total", method=watch): "0+1x60",
        series("agentkeeper_rpc_status_total", method=watch, code="RESOURCE_EXHAUSTED"): "0+1x60",
    }


def agents(alive, unreachable):
    return {
        series("agentkeeper_agents", status="alive"): f"{alive}x60",
        series("agentkeeper_agents", status="unreachable"): f"{unreachable}x60",
        series("agentkeeper_agents_alive"): f"{alive + unreachable}x60",
    }


def counted(name, rate, topic=None, of=0, **gauges):
    """A counter that grows by so much a minute, and the events that it is compared with."""
    found = {series(name): f"0+{rate}x60"}
    if topic:
        found[series("agentkeeper_events_total", topic=topic)] = f"0+{of}x60"
    return found | {series(gauge): f"{value}x60" for gauge, value in gauges.items()}


RPC = "agentkeeper_rpc_duration_seconds_bucket"
COMMIT = "agentkeeper_journal_commit_duration_seconds_bucket"

# The alert: on which series it fires, with which summary, and on which, being close to it, it does not; a number a minute.
CASES = {
    "AgentKeeperDown": ({UP: "0x60"}, "AgentKeeper at keeper:9090 can't be scraped", {UP: "1x60"}),
    "AgentKeeperRestarts": (
        {STARTED: "100x25 200x1 300x1 400x60"},
        "AgentKeeper at keeper:9090 was started 3 times in 15 minutes",
        {STARTED: "100x25 200x1 300x60"},
    ),
    "AgentKeeperErrors": (calls("INTERNAL", 20), "2% of the calls at keeper:9090 fail by the daemon's fault", calls("NOT_FOUND", 900)),
    "AgentKeeperSlow": (
        buckets(RPC, FIND, 5),
        "One call in a hundred at keeper:9090 takes 400.2ms or longer",
        buckets(RPC, CLAIM, 100) | buckets(RPC, FIND, 0),
    ),
    "AgentKeeperDiskFull": (
        {series("agentkeeper_journal_disk_full"): "1x60"},
        "The disk of AgentKeeper at keeper:9090 is full",
        {series("agentkeeper_journal_disk_full"): "0x60"},
    ),
    "AgentKeeperCheckpointsFail": (
        counted("agentkeeper_journal_checkpoints_failed_total", 12),
        "AgentKeeper at keeper:9090 can't bring its database up to date",
        {series("agentkeeper_journal_checkpoints_failed_total"): "0x28 1x60"},
    ),
    "AgentKeeperJournalBehind": (
        {series("agentkeeper_journal_waiting_bytes"): "33554432x60"},
        "32MiB of changes wait for the disk of AgentKeeper at keeper:9090",
        {series("agentkeeper_journal_waiting_bytes"): "1048576x60"},
    ),
    "AgentKeeperCommitsSlow": (
        buckets(COMMIT, None, 5),
        "One commit in a hundred at keeper:9090 takes 400.2ms or longer",
        buckets(COMMIT, None, 0),
    ),
    "AgentKeeperAgentsUnreachable": (agents(7, 3), "3 agents of AgentKeeper at keeper:9090 are silent", agents(97, 3)),
    "AgentKeeperAgentsLost": (
        counted("agentkeeper_agents_lost_total", 1, agentkeeper_agents_alive=20),
        "10 agents of AgentKeeper at keeper:9090 died of silence in 10 minutes",
        counted("agentkeeper_agents_lost_total", 1, agentkeeper_agents_alive=1000),
    ),
    "AgentKeeperLeasesExpire": (
        counted("agentkeeper_leases_expired_total", 1, "lease.acquired", 4),
        "15 leases at keeper:9090 ran out in 15 minutes",
        counted("agentkeeper_leases_expired_total", 1, "lease.acquired", 50),
    ),
    "AgentKeeperClaimsLost": (
        counted("agentkeeper_claims_lost_total", 2, "task.claimed", 10),
        "30 tasks at keeper:9090 came back in 15 minutes",
        counted("agentkeeper_claims_lost_total", 2, "task.claimed", 100),
    ),
    "AgentKeeperLeadersChange": (
        {series("agentkeeper_events_total", topic="leader.changed"): "0+2x60", series("agentkeeper_elections"): "2x60"},
        "Leadership at keeper:9090 changed 30 times in 15 minutes",
        {series("agentkeeper_events_total", topic="leader.changed"): "0+2x60", series("agentkeeper_elections"): "20x60"},
    ),
    "AgentKeeperTaskWaits": (
        {series("agentkeeper_tasks_oldest_pending_age_seconds"): "0+60x60"},
        "A task at keeper:9090 was created 30m 0s ago, and nobody works on it",
        {series("agentkeeper_tasks_oldest_pending_age_seconds"): "800x60"},
    ),
    "AgentKeeperQueueGrows": (
        {series("agentkeeper_tasks", status="pending"): "200+10x60"},
        "500 tasks at keeper:9090 are pending, and they become more",
        {series("agentkeeper_tasks", status="pending"): "2000-10x60"},
    ),
    "AgentKeeperTasksDie": (
        {series("agentkeeper_events_total", topic="task.dead"): "0+1x60"},
        "15 tasks at keeper:9090 were given up in 15 minutes",
        {series("agentkeeper_events_total", topic="task.dead"): "0x20 1x60"},
    ),
    "AgentKeeperConnectionsNearLimit": (
        {series("agentkeeper_connections_open"): "81x60", series("agentkeeper_connections_max"): "100x60"},
        "81 connections are open at keeper:9090, close to what --max-connections allows",
        {series("agentkeeper_connections_open"): "79x60", series("agentkeeper_connections_max"): "100x60"},
    ),
    "AgentKeeperConnectionsRefused": (
        {series("agentkeeper_connections_refused_total"): "0x28 1x60"},
        "AgentKeeper at keeper:9090 refuses connections",
        {series("agentkeeper_connections_refused_total"): "7x60"},
    ),
    "AgentKeeperFilesNearLimit": (
        {series("process_open_fds"): "900x60", series("process_max_fds"): "1024x60"},
        "AgentKeeper at keeper:9090 has 900 files open, close to the limit",
        {series("process_open_fds"): "700x60", series("process_max_fds"): "1024x60"},
    ),
    "AgentKeeperAbusiveConnections": (
        counted("agentkeeper_connections_abusive_total", 1),
        "AgentKeeper at keeper:9090 ended 10 connections that broke the protocol",
        {series("agentkeeper_connections_abusive_total"): "0x25 2x60"},
    ),
    "AgentKeeperWatchersEnded": (
        counted("agentkeeper_watchers_ended_total", 1),
        "10 watchers at keeper:9090 read too slowly and lost events",
        {series("agentkeeper_watchers_ended_total"): "3x60"},
    ),
}


def promtool(*arguments, **options):
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, **options)


def outcome(tmp_path, values, alert, expected, minutes=30):
    """What promtool says of a test of one alert."""
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": each} for name, each in values.items()],
                "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}],
            }
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump(test, sort_keys=False))
    return promtool("test", "rules", path)


def firing(alert, summary, labels):
    rule = ALERTS[alert]
    return [
        {
            "exp_labels": TARGET | rule["labels"] | labels,
            "exp_annotations": {"summary": summary, "description": rule["annotations"]["description"]},
        }
    ]


def test_promtool_accepts_the_rules_and_the_configuration():
    for kind, path in (("rules", RULES), ("config", OPERATIONS / "prometheus/prometheus.yml")):
        checked = promtool("check", kind, path)
        assert checked.returncode == 0 and "FAIL" not in checked.stdout + checked.stderr, checked.stdout + checked.stderr


def test_every_alert_is_tested_and_says_how_bad_it_is_and_what_to_do():
    assert set(CASES) == set(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert set(rule["annotations"]) == {"summary", "description"} and "$labels.instance" in rule["annotations"]["summary"]


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires(alert, tmp_path):
    values, summary, _ = CASES[alert]
    extra = {}  # what the alert is about, beyond the daemon
    if alert == "AgentKeeperAgentsUnreachable":
        extra = {"status": "unreachable"}
    elif alert == "AgentKeeperQueueGrows":
        extra = {"status": "pending"}
    elif alert in ("AgentKeeperLeadersChange", "AgentKeeperTasksDie"):
        extra = {"topic": "leader.changed" if "Leaders" in alert else "task.dead"}
    done = outcome(tmp_path, values, alert, firing(alert, summary, extra))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_does_not_fire_on_what_is_close_to_it(alert, tmp_path):
    done = outcome(tmp_path, CASES[alert][2], alert, [])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "values",
    [calls("INTERNAL", 1) | {series("agentkeeper_rpc_total", method=BEAT): "0+8x60"}, slow_watchers()],
    ids=["a few failures of few calls", "slow watchers"],
)
def test_what_is_nobodys_night_is_no_error(values, tmp_path):
    done = outcome(tmp_path, values, "AgentKeeperErrors", [])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_daemon_that_is_not_even_scraped_is_down(tmp_path):
    expected = firing("AgentKeeperDown", "AgentKeeper can't be scraped", {})
    expected[0]["exp_labels"].pop("instance")
    assert outcome(tmp_path, {'up{job="other"}': "1x60"}, "AgentKeeperDown", expected).returncode == 0


def test_a_test_of_an_alert_can_fail(tmp_path):
    values, summary, quiet = CASES["AgentKeeperDiskFull"]
    assert outcome(tmp_path, values, "AgentKeeperDiskFull", []).returncode == 1
    assert outcome(tmp_path, quiet, "AgentKeeperDiskFull", firing("AgentKeeperDiskFull", summary, {})).returncode == 1
