"""The file is meant to be looked at with `sqlite3` while the daemon runs, and whoever looks does no harm."""

import json
import subprocess

import pytest

from keeper import PATIENCE, count_of, eventually, seconds
from lives import DATABASE, needs, start

pytestmark = needs("sqlite3")


def select(directory, sql):
    """What a person reads who types this."""
    done = subprocess.run(["sqlite3", "-json", directory / DATABASE, sql], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "[]")


def there(directory, sql):
    """The rows, as soon as there are any: the database follows the log within seconds."""
    eventually(lambda: select(directory, sql), f"rows of {sql}")
    return select(directory, sql)


def test_a_person_can_read_what_is_there_while_the_daemon_runs(directory):
    daemon = start(directory)
    client = daemon.client()
    agent = client.agent("scraper", ttl=3600, tools=["browser", "curl"])
    lease = client.lease("articles/7", agent, ttl_seconds=3600)
    claimed = client.CreateTask(type="fetch", input=b"https://example.org").task
    client.ClaimTask(agent_id=agent)
    waiting = client.CreateTask(type="parse").task
    client.Campaign(group="scrapers", agent_id=agent)
    policy = dict(id="p", subject="scraper", action="call", resource="browser", effect=1)
    policy = client.SetPolicy(policy=policy).policy

    # The last of them was the policy; what came before is in the same file.
    (row,) = there(directory, "SELECT * FROM policies")
    assert {name: row[name] for name in ("id", "subject", "action", "resource")} == dict(
        id="p", subject="scraper", action="call", resource="browser"
    )
    (row,) = select(directory, "SELECT name, status, tools FROM agents")
    assert (row["name"], row["status"], json.loads(row["tools"])) == ("scraper", "ALIVE", ["browser", "curl"])
    (row,) = select(directory, "SELECT * FROM leases WHERE NOT is_claim")
    assert (row["task_id"], row["holder_agent_id"], row["token"]) == ("articles/7", agent, lease.token.value)
    times = "unixepoch(acquired_at) AS begin, unixepoch(expires_at) AS end"
    (row,) = select(directory, f"SELECT {times} FROM leases WHERE NOT is_claim")
    assert (row["begin"], row["end"]) == (int(seconds(lease.acquired_at)), int(seconds(lease.expires_at)))
    tasks = {row["task_id"]: row for row in select(directory, "SELECT * FROM tasks")}
    assert {task: row["status"] for task, row in tasks.items()} == {claimed.id: "CLAIMED", waiting.id: "PENDING"}
    (row,) = select(directory, 'SELECT * FROM elections WHERE group_name = "scrapers"')
    assert (row["leader_agent_id"], row["term"]) == (agent, 1)
    topics = [row["topic"] for row in select(directory, "SELECT topic FROM events ORDER BY sequence")]
    assert topics[:2] == ["agent.registered", "lease.acquired"] and topics[-1] == "policy.set"
    assert daemon.stop() == 0


def test_every_column_of_a_time_is_a_text_and_every_table_has_named_columns(directory):
    daemon = start(directory)
    columns = select(
        directory,
        "SELECT t.name AS 'table', c.name AS name, c.type AS type FROM sqlite_schema t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table'",
    )
    tables = {row["table"] for row in columns}
    assert {"agents", "leases", "elections", "candidates", "policies", "tasks", "events"} <= tables
    assert all(row["type"] == "TEXT" for row in columns if row["name"].endswith("_at"))
    assert select(directory, "PRAGMA user_version")[0]["user_version"] >= 1
    assert daemon.stop() == 0


@pytest.fixture
def person(directory):
    """Somebody who begins a transaction in `sqlite3`, and thinks about it."""
    daemon = start(directory)
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with subprocess.Popen(["sqlite3", "-batch", directory / DATABASE], text=True, **pipes) as process:
        process.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        yield daemon, process
        process.kill()


def test_a_transaction_that_somebody_holds_open_stops_no_call(directory, person):
    daemon, process = person
    client = daemon.client()
    agent = client.agent(ttl=3600)
    lease = client.lease("t", agent, ttl_seconds=3600)

    def warned():
        # Every call is answered meanwhile: each of these is a change that is acknowledged.
        again = client.RenewLease(task_id="t", agent_id=agent, token=dict(value=lease.token.value))
        assert again.lease.token == lease.token
        return "held by another program" in daemon.output()

    eventually(warned, "a warning that the database is held")
    assert select(directory, "SELECT * FROM leases") == []
    process.communicate("ROLLBACK;\n", timeout=PATIENCE)
    (row,) = there(directory, "SELECT token FROM leases")
    assert row["token"] == lease.token.value
    assert count_of(daemon.output(), "WARNING") == 1, daemon.output()
    assert daemon.stop() == 0


def test_it_stops_in_good_order_while_somebody_holds_a_transaction(directory, person):
    daemon, process = person
    agent = daemon.client().agent(ttl=3600)
    assert daemon.stop() == 0, daemon.output()
    assert "held by another program" in daemon.output()
    process.kill()
    daemon = start(directory)
    assert daemon.client().GetAgent(agent_id=agent).agent.agent_id == agent
    assert daemon.stop() == 0
