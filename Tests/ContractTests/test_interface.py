"""The second port's JSON, streams and actions, on the real daemon: what only the whole of it can show."""

import http.client
import json
import subprocess

import pytest

from keeper import BINARY, PATIENCE, Code, Daemon, Watcher, eventually, free_ports, pb
from raw_http2 import Connection, frame


def get(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def answer(port, path):
    reply = get(port, path)
    assert reply.status == 200, reply.read()
    return json.loads(reply.read())


class Stream:
    """Server-sent events, one after another."""

    def __init__(self, port, path, last=None):
        self.reply = get(port, path, **({"Last-Event-ID": last} if last else {}))
        assert self.reply.status == 200 and self.reply.getheader("content-type") == "text/event-stream"

    def next(self):
        event = {"name": "message"}
        while True:
            line = self.reply.readline().decode()
            if not line:
                return None
            field, _, value = line.rstrip("\n").partition(": ")
            if field in ("id", "data"):
                event[field] = value
            elif field == "event":
                event["name"] = value
            elif not line.strip() and "data" in event:
                return event | {"data": json.loads(event["data"])}

    def message(self):
        """The next event of the daemon's, whatever the stream says of itself between."""
        while (event := self.next()) and event["name"] != "message":
            pass
        return event

    def close(self):
        self.reply.close()


@pytest.fixture
def acting():
    ports = free_ports(2)
    daemon = Daemon(
        f"--addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}", "--dashboard-actions", "--log-format=json",
        ports=ports,
    )
    yield daemon
    assert daemon.stop() == 0, daemon.output()


def act(daemon, action, body, **headers):
    port = daemon.metrics_port
    token = answer(port, "/api/v1/session")["token"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    fields = {"Content-Type": "application/json", "X-AgentKeeper-Token": token, "Origin": f"http://127.0.0.1:{port}"}
    connection.request("POST", f"/api/v1/actions/{action}", json.dumps(body), fields | headers)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def test_what_is_done_by_force_is_told_to_watchers_and_in_the_log(acting):
    client = acting.client()
    anna, ben = client.agent("anna"), client.agent("ben")
    token = client.lease("report", anna, ttl_seconds=600).token.value
    client.CreateTask(type="summarize")
    task = client.ClaimTask(agent_id=anna).task.id
    client.SetPolicy(policy=dict(id="p", subject="a", action="b", resource="c", effect=1))
    done = [
        act(acting, "release-lease", {"task_id": "report", "token": token}),
        act(acting, "requeue-task", {"task_id": task}),
        act(acting, "delete-policy", {"id": "p"}),
        act(acting, "deregister-agent", {"agent_id": ben}),
    ]
    assert [status for status, _ in done] == [200] * 4, done
    events = answer(acting.metrics_port, f"/api/v1/events?after={done[0][1]['sequence'] - 1}")["items"]
    assert [(each["topic"], each["reason"]) for each in events] == [
        ("lease.expired", "forced"), ("task.requeued", "forced"), ("policy.deleted", "forced"), ("agent.died", "forced"),
    ]
    assert [each["sequence"] for each in events] == [body["sequence"] for _, body in done]
    watched = Watcher(client.WatchEvents(after_sequence=events[0]["sequence"] - 1))
    assert [event.reason for event in watched.take(4)] == ["forced"] * 4
    watched.cancel()

    def lines():
        found = [json.loads(line) for line in acting.output().splitlines()]
        return [line for line in found if line.get("reason") == "forced"]

    eventually(lambda: len(lines()) == 4, "each has a line")
    assert [(line["level"], line["message"]) for line in lines()] == [
        ("warning", "lease lost"), ("warning", "task put back"), ("warning", "policy deleted"), ("warning", "agent died"),
    ]
    assert all(line["peer"].startswith("127.0.0.1:") for line in lines())


def test_a_lease_that_has_moved_on_is_not_released(acting):
    client = acting.client()
    anna = client.agent("anna")
    first = client.lease("report", anna, ttl_seconds=600).token.value
    client.ReleaseLease(task_id="report", agent_id=anna, token=dict(value=first))
    second = client.lease("report", anna, ttl_seconds=600).token.value
    status, body = act(acting, "release-lease", {"task_id": "report", "token": first})
    assert status == 409 and body["error"]["code"] == "failed_precondition" and str(second) in body["error"]["message"]
    assert answer(acting.metrics_port, "/api/v1/leases/report")["lease"]["token"] == second


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", ""])
def test_nobody_acts_on_a_port_that_others_can_reach(host):
    port = free_ports(1)[0]
    ended = subprocess.run(
        [BINARY, "--addr=127.0.0.1:0", f"--metrics-addr={host}:{port}", "--dashboard-actions"],
        capture_output=True, text=True, timeout=PATIENCE,
    )
    assert ended.returncode == 1 and "--dashboard-actions needs a --metrics-addr that only this machine can reach" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "variable", "said"),
    [
        (["--metrics-addr=off", "--dashboard-actions"], None, "there is no page with --metrics-addr off"),
        ([], "perhaps", 'AGENTKEEPER_DASHBOARD_ACTIONS: must be true or false, found "perhaps"'),
    ],
)
def test_a_wish_to_act_that_cannot_be_is_refused(flags, variable, said):
    environment = {"AGENTKEEPER_DASHBOARD_ACTIONS": variable} if variable else {}
    ended = subprocess.run(
        [BINARY, "--addr=127.0.0.1:0", *flags], capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
    assert ended.returncode == 64 and said in ended.stderr, ended.stderr


@pytest.fixture
def short_memory():
    ports = free_ports(2)
    daemon = Daemon(
        f"--addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}", "--event-history=100", ports=ports
    )
    yield daemon
    assert daemon.stop() == 0, daemon.output()


def unread_watch(daemon, **request):
    """A watcher that reads nothing more, and the address that it watches from."""
    raw = Connection(daemon.port, window=65_535)
    stream = raw.start("/agentkeeper.v1.WatchService/Watch")
    raw.send(stream, frame(pb.WatchEventsRequest(**request).SerializeToString()))
    while raw.replies[stream].headers is None:
        raw.receive()
    return raw, stream, "{}:{}".format(*raw.socket.getsockname())


def test_a_watcher_that_does_not_read_is_told_apart_and_so_is_its_gap(short_memory):
    client, port = short_memory.client(), short_memory.metrics_port
    anna = client.agent("anna")
    keeping_up = Watcher(client.Watch())
    client.SetPolicy(policy=dict(id="p", subject="a", action="b", resource="c", effect=1))
    keeping_up.take(1)
    raw, stream, peer = unread_watch(short_memory, topics=["task."], exclude_topics=["task.renewed"], agent_id=anna)
    started = answer(port, "/api/v1/status")["last_sequence"]

    def listed(query=""):
        return answer(port, f"/api/v1/watchers{query}")

    def item(query=""):
        return next((each for each in listed(query)["items"] if each["peer"] == peer), None)

    assert list(item()) == [
        "watcher_id", "peer", "call", "opened_at", "topics", "exclude", "agent_id", "task_id", "group", "status",
        "sent_sequence", "events_behind", "behind_since", "gap", "gap_told_at",
    ]
    assert item() | {"watcher_id": 0, "opened_at": ""} == {
        "watcher_id": 0, "peer": peer, "call": "WatchService.Watch", "opened_at": "", "topics": ["task."],
        "exclude": ["task.renewed"], "agent_id": anna, "task_id": None, "group": None, "status": "live",
        "sent_sequence": started, "events_behind": 0, "behind_since": None, "gap": None, "gap_told_at": None,
    }
    for _ in range(10):
        task = client.CreateTask(type="big", input=bytes(500_000)).task
        client.ClaimTask(agent_id=anna)
        client.CompleteTask(task_id=task.id, agent_id=anna)
    last = answer(port, "/api/v1/status")["last_sequence"]
    behind = item("?status=behind")
    assert started <= behind["sent_sequence"] < last and behind["events_behind"] == last - behind["sent_sequence"]
    first = answer(port, f"/api/v1/events?after={behind['sent_sequence']}&limit=1")["items"][0]
    assert behind["behind_since"] == first["occurred_at"] and behind["gap"] is None
    assert [each["call"] for each in listed("?status=live")["items"]] == ["RegistryService.Watch"]
    for _ in range(150):
        client.SetPolicy(policy=dict(id="p", subject="a", action="b", resource="c", effect=1))
    slow = item("?status=slow")
    assert slow["gap"] == "coming" and slow["sent_sequence"] == behind["sent_sequence"]
    eventually(
        lambda: [each["items"][0]["peer"] for each in answer(port, "/api/v1/overview")["attention"]] == [peer],
        "the overview names it",
    )
    assert raw.reply(stream).grpc_status == Code.RESOURCE_EXHAUSTED.value[0]
    assert item() is None
    ended = listed()["ended"]
    assert [(each["peer"], each["status"], each["gap"]) for each in ended] == [(peer, "ended", "told")]
    assert ended[0]["gap_told_at"] and listed()["total"] == 1


def test_watchers_are_read_page_by_page_in_the_order_in_which_they_came(short_memory):
    port = short_memory.metrics_port
    # On whichever event loop each of them is.
    watchers = [Watcher(short_memory.client().Watch(topics=[f"topic-{number}"])) for number in range(7)]
    for watcher in watchers:
        watcher.call.initial_metadata()
    with_stream = Stream(port, "/events?topic=topic-7")
    with_stream.next()
    found, page = [], ""
    while page is not None:
        body = answer(port, f"/api/v1/watchers?limit=3&page={page}")
        found += [(each["watcher_id"], each["topics"][0]) for each in body["items"]]
        assert len(body["items"]) <= 3 and body["total"] == 8
        page = body["next"]
    assert found == sorted(found) and sorted(topic for _, topic in found) == [f"topic-{n}" for n in range(8)]
    assert answer(port, "/api/v1/overview")["counts"]["watchers"] == 8
    for watcher in watchers:
        watcher.cancel()
    with_stream.close()
    eventually(lambda: answer(port, "/api/v1/watchers")["total"] == 0, "all have gone")


def test_events_go_on_over_kill_minus_nine_without_a_gap(tmp_path):
    ports = free_ports(2)

    def start():
        return Daemon(
            f"--addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}", f"--data-dir={tmp_path / 'state'}",
            ports=ports,
        )

    daemon = start()
    seen, last = [], None
    for life in range(3):
        client = daemon.client()
        agent = client.agent(f"agent {life}")
        stream = Stream(ports[1], "/events?after=0", last)
        for number in range(20):
            client.lease(f"task {life} {number}", agent)
        # Up to what was answered: it is durable, so nothing of it can come again under another number.
        while (event := stream.message())["data"]["subject"].get("lease", {}).get("task_id") != f"task {life} 19":
            seen.append(event["data"]["sequence"])
            last = event["id"]
        seen.append(event["data"]["sequence"])
        last = event["id"]
        stream.close()
        daemon.process.kill()
        daemon.process.wait()
        daemon.stop()
        daemon = start()
    assert seen == list(range(1, len(seen) + 1)) and len(seen) >= 63
    assert daemon.stop() == 0


def test_a_daemon_that_forgot_everything_says_so():
    ports = free_ports(2)
    arguments = (f"--addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}")
    daemon = Daemon(*arguments, ports=ports)
    if daemon.directory:
        daemon.stop()
        pytest.skip("with a data directory nothing is forgotten")
    daemon.client().agent("anna")
    stream = Stream(ports[1], "/events?after=0")
    last = stream.message()["id"]
    stream.close()
    assert daemon.stop() == 0
    daemon = Daemon(*arguments, ports=ports)
    daemon.client().agent("ben")
    stream = Stream(ports[1], "/events", last)
    assert stream.next()["name"] == "hello"
    gap = stream.next()
    assert gap["name"] == "gap" and gap["data"]["history_changed"]
    assert stream.message()["data"]["subject"]["agent"]["name"] == "ben"
    stream.close()
    assert daemon.stop() == 0


def test_a_graceful_end_says_the_end_of_each_stream(acting):
    events, live = Stream(acting.metrics_port, "/events"), Stream(acting.metrics_port, "/api/v1/live?q=status")
    assert events.next()["name"] == "hello" and live.next()["name"] == "answer"
    acting.process.terminate()
    # A stream that was cut off instead would raise here.
    while events.next():
        pass
    while live.next():
        pass
    assert acting.process.wait(PATIENCE) == 0
