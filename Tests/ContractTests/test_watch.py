"""Watch and WatchService.Watch: order, filters, resumption, and watchers that do not keep up."""

import threading
import time

import pytest

from keeper import PATIENCE, Code, Daemon, Watcher, payload, pb
from raw_http2 import Connection, frame

# The size of the kept history, in events.
HISTORY = 10_000


def put(client, number=0):
    policy = dict(id=f"p{number}", subject="s", action="a", resource="r", effect=pb.POLICY_EFFECT_ALLOW)
    return client.SetPolicy.future(policy=policy)


def put_many(client, count):
    for begin in range(0, count, 500):
        for future in [put(client, number) for number in range(begin, min(count, begin + 500))]:
            future.result()


def numbers(events):
    return [event.sequence_number for event in events]


def last_sequence(client):
    """The sequence number of an event made just for this."""
    watcher = Watcher(client.WatchEvents(topics=["policy.set"]))
    put(client).result()
    try:
        return watcher.next().sequence_number
    finally:
        watcher.cancel()


@pytest.mark.parametrize("watch", ["Watch", "WatchEvents"])
def test_response_headers_come_at_once(client, watch):
    stream = getattr(client, watch)(topics=["nothing"])
    stream.initial_metadata()  # returns when they are there; nothing else is ever sent on this stream
    stream.cancel()


@pytest.mark.parametrize("watch", ["Watch", "WatchEvents"])
def test_a_subscription_is_in_force_before_the_next_call_of_the_connection(daemon, watch):
    for round in range(50):
        client = daemon.client()
        watcher = Watcher(getattr(client, watch)(topics=["agent."]))
        agent = client.agent(f"round-{round}")
        assert payload(watcher.next()).agent_id == agent
        client.close()


def test_an_election_watch_is_in_force_before_the_next_call_of_the_connection(daemon):
    for round in range(50):
        client = daemon.client()
        agent = client.agent()
        watcher = Watcher(client.WatchElection(group=f"g{round}"))
        client.Campaign(group=f"g{round}", agent_id=agent)
        assert payload(watcher.next()).leader_agent_id == agent
        client.close()


def test_events_are_numbered_from_one_by_one_over_all_topics(client):
    watcher = Watcher(client.Watch())
    agent = client.agent()
    client.lease("t", agent)
    client.Campaign(group="g", agent_id=agent)
    put(client).result()
    client.CreateTask(type="x")
    client.Deregister(agent_id=agent)
    events = watcher.take(8)
    assert numbers(events) == list(range(1, 9))
    assert [event.topic for event in events] == [
        "agent.registered",
        "lease.acquired",
        "leader.changed",
        "policy.set",
        "task.created",
        "agent.died",
        "lease.expired",
        "leader.changed",
    ]
    assert all(event.HasField("occurred_at") for event in events)
    kinds = ["AgentInfo", "Lease", "ElectionState", "Policy", "Task", "AgentInfo", "Lease", "ElectionState"]
    assert [event.payload.type_url for event in events] == [
        f"type.googleapis.com/agentkeeper.v1.{kind}" for kind in kinds
    ]


def test_topics_are_prefixes_and_none_means_all(client):
    some = Watcher(client.Watch(topics=["agent.d", "lease."]))
    none = Watcher(client.Watch(topics=["agent.x", "nt."]))
    everything = Watcher(client.Watch())
    agent = client.agent()
    client.lease("t", agent)
    client.Campaign(group="g", agent_id=agent)
    client.Deregister(agent_id=agent)
    assert len(everything.take(6)) == 6
    assert [event.topic for event in some.take(3)] == ["lease.acquired", "agent.died", "lease.expired"]
    assert none.events.empty() and some.events.empty()


def test_writers_on_many_connections_make_one_order_for_all_watchers(daemon, client):
    watchers = [Watcher(daemon.client().Watch()) for _ in range(3)]
    for watcher in watchers:
        watcher.call.initial_metadata()
    writers = [threading.Thread(target=put_many, args=(daemon.client(), 200)) for _ in range(4)]
    for writer in writers:
        writer.start()
    orders = [[(event.sequence_number, payload(event).id) for event in watcher.take(800)] for watcher in watchers]
    for writer in writers:
        writer.join()
    assert orders[0] == orders[1] == orders[2]
    assert [number for number, _ in orders[0]] == list(range(1, 801))


def test_excluded_prefixes_win(client):
    watcher = Watcher(client.WatchEvents(topics=["agent.", "policy."], exclude_topics=["agent.reg"]))
    client.Deregister(agent_id=client.agent())
    put(client).result()
    assert [event.topic for event in watcher.take(2)] == ["agent.died", "policy.set"]


def test_a_watch_of_one_agent_sees_its_leases_tasks_and_elections(client):
    one, other = client.agent("one"), client.agent("other")
    watcher = Watcher(client.WatchEvents(agent_id=one))
    for agent in (other, one):
        client.lease(f"lease of {agent}", agent)
        client.Campaign(group=f"group of {agent}", agent_id=agent)
        client.CreateTask(type="x")
        client.ClaimTask(agent_id=agent)
        client.Deregister(agent_id=agent)
    # The task that it claims is the one that the other's death gave back.
    assert [event.topic for event in watcher.take(7)] == [
        "lease.acquired",
        "leader.changed",
        "task.claimed",
        "agent.died",
        "lease.expired",
        "task.requeued",
        "leader.changed",
    ]


def test_a_watch_of_one_task_sees_its_claims_and_leases(client):
    agent = client.agent()
    by_lease = Watcher(client.WatchEvents(task_id="t"))
    client.lease("t", agent)
    client.lease("u", agent)
    task, _ = client.CreateTask(type="x").task, client.CreateTask(type="x")
    by_task = Watcher(client.WatchEvents(task_id=task.id, after_sequence=0))
    for _ in range(2):
        claimed = client.ClaimTask(agent_id=agent).task
        client.CompleteTask(task_id=claimed.id, agent_id=agent)
    assert [event.topic for event in by_task.take(3)] == ["task.created", "task.claimed", "task.completed"]
    client.Deregister(agent_id=agent)
    assert [event.topic for event in by_lease.take(2)] == ["lease.acquired", "lease.expired"]


def test_a_watch_of_one_group_sees_that_election_alone(client):
    agent = client.agent()
    watcher = Watcher(client.WatchEvents(group="g"))
    for group in ("f", "g", "gg"):
        client.Campaign(group=group, agent_id=agent)
    client.lease("g", agent)
    client.Resign(group="g", agent_id=agent)
    events = watcher.take(2)
    assert [(event.topic, payload(event).group, payload(event).term) for event in events] == [
        ("leader.changed", "g", 1),
        ("leader.changed", "g", 2),
    ]


def test_all_filters_must_hold(client):
    one, other = client.agent("one"), client.agent("other")
    watcher = Watcher(client.WatchEvents(topics=["lease."], agent_id=one, task_id="t"))
    client.lease("u", one)
    lease = client.lease("t", other)
    client.ReleaseLease(task_id="t", agent_id=other, token=lease.token)
    mine = client.lease("t", one)
    event = watcher.next()
    assert (event.topic, payload(event)) == ("lease.acquired", mine)


def test_resuming_begins_just_after_and_0_means_from_the_beginning(client):
    put_many(client, 10)
    for after in (0, 1, 7):
        watcher = Watcher(client.WatchEvents(after_sequence=after))
        assert numbers(watcher.take(10 - after)) == list(range(after + 1, 11))
        watcher.cancel()
    at_the_end = Watcher(client.WatchEvents(after_sequence=10))
    from_now = Watcher(client.WatchEvents())
    put(client).result()
    assert at_the_end.next().sequence_number == from_now.next().sequence_number == 11


def test_a_resumed_watch_is_filtered_like_a_live_one(client):
    agent = client.agent()
    put(client).result()
    client.lease("t", agent)
    watcher = Watcher(client.WatchEvents(topics=["lease."], after_sequence=0))
    client.Deregister(agent_id=agent)
    assert [event.topic for event in watcher.take(2)] == ["lease.acquired", "lease.expired"]


def test_there_is_no_gap_and_no_repeat_where_history_ends_and_live_begins(daemon, client):
    writer_client, stop = daemon.client(), threading.Event()
    after = 0

    def write():
        written = 0
        while not stop.is_set():
            # Not so far ahead of a reader who is slow that the history no longer has what he comes to.
            if written - after > 5_000:
                time.sleep(0.001)
                continue
            put_many(writer_client, 50)
            written += 50

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(30):
            watcher = Watcher(client.WatchEvents(after_sequence=after))
            seen = numbers(watcher.take(100))
            watcher.cancel()
            assert seen == list(range(after + 1, after + 101))
            after = seen[-1]
    finally:
        stop.set()
        writer.join()


def test_a_long_history_is_replayed_whole_beside_live_watchers(daemon, client):
    for _ in range(8):  # on whichever event loop the resuming one is, there are live ones
        Watcher(daemon.client().WatchEvents()).call.initial_metadata()
    put_many(client, 5_000)
    resumed = Watcher(client.WatchEvents(after_sequence=0))
    assert numbers(resumed.take(5_000)) == list(range(1, 5_001))
    put(client).result()
    assert resumed.next().sequence_number == 5_001


def test_a_sequence_in_the_future_is_out_of_range(client):
    last = last_sequence(client)
    watcher = Watcher(client.WatchEvents(after_sequence=last + 1))
    assert watcher.ended() == Code.OUT_OF_RANGE
    assert str(last) in watcher.error.details()


def test_history_that_is_gone_is_out_of_range_and_the_oldest_kept_is_named(client):
    put_many(client, HISTORY + 100)
    gone = Watcher(client.WatchEvents(after_sequence=1))
    assert gone.ended() == Code.OUT_OF_RANGE
    oldest = HISTORY + 100 - HISTORY + 1
    assert str(oldest) in gone.error.details()
    kept = Watcher(client.WatchEvents(after_sequence=oldest - 1))
    assert kept.next().sequence_number == oldest


def test_an_idle_watch_carries_progress_and_what_it_examined(daemon, client):
    filtered = Watcher(client.WatchEvents(topics=["agent."]), progress=True)
    plain = Watcher(client.Watch(topics=["agent."]))
    last = last_sequence(client)
    examined = 0
    while examined < last:  # it may have been idle before as well
        progress = filtered.next()
        assert progress.topic == "watch.progress" and examined <= progress.sequence_number <= last
        assert not progress.HasField("payload") and progress.HasField("occurred_at")
        examined = progress.sequence_number
    # It used up no number, and the watch that the Python package knows carries none.
    agent = client.agent()
    event = plain.next()
    assert (event.topic, event.sequence_number, payload(event).agent_id) == ("agent.registered", last + 1, agent)


def big_event(client, number):
    """An event of about a megabyte."""
    return client.CreateTask.future(type=str(number), input=bytes(1_000_000))


def sequences(raw, stream):
    events = [pb.Event.FromString(body) for _, body in raw.messages(raw.replies[stream])]
    return numbers([event for event in events if event.topic != "watch.progress"])


def test_a_watcher_that_falls_behind_is_ended_naming_the_last_it_was_sent(daemon, client):
    raw = Connection(daemon.port, window=65_535)
    stream = raw.start("/agentkeeper.v1.RegistryService/Watch")
    raw.send(stream, frame(b""))
    while raw.replies[stream].headers is None:
        raw.receive()
    keeping_up = Watcher(client.Watch(topics=["policy."]))
    # Nothing is read meanwhile. A buffer of 200 megabytes is none that deserves to be called bounded.
    for number in range(200):
        big_event(client, number).result()
        raw.stay()
    put(client).result()
    assert keeping_up.next().topic == "policy.set"  # a slow watcher holds up nobody
    reply = raw.reply(stream)
    seen = sequences(raw, stream)
    assert reply.grpc_status == Code.RESOURCE_EXHAUSTED.value[0]
    assert seen == list(range(1, len(seen) + 1)) and len(seen) < 200
    assert str(seen[-1] if seen else 0) in reply.trailers["grpc-message"]


def test_a_resuming_watcher_that_falls_behind_is_fed_from_history(daemon, client):
    raw = Connection(daemon.port, window=65_535)
    stream = raw.start("/agentkeeper.v1.WatchService/Watch")
    raw.send(stream, frame(pb.WatchEventsRequest(after_sequence=0).SerializeToString()))
    while raw.replies[stream].headers is None:
        raw.receive()
    count = HISTORY - 500  # far more than a buffer for one watcher, but still in the history
    for _ in range(count // 500):
        put_many(client, 500)
        raw.stay()
    deadline = time.monotonic() + PATIENCE  # there would always be something to read: progress goes on for ever
    while raw.replies[stream].data.count(b"policy.set") < count and time.monotonic() < deadline:
        raw.receive()
    assert sequences(raw, stream) == list(range(1, count + 1))


def test_a_watch_that_is_cancelled_ends(client):
    watcher = Watcher(client.Watch())
    watcher.cancel()
    assert watcher.ended() == Code.CANCELLED


def test_a_filter_is_as_bounded_as_a_name(client):
    for too_long in (dict(task_id="x" * 1_025), dict(group="x" * 1_025), dict(topics=["x" * 1_025])):
        assert Watcher(client.WatchEvents(**too_long)).ended() == Code.INVALID_ARGUMENT


def metadata_of(stream):
    return {item.key: item.value for item in stream.initial_metadata()}


def test_the_headers_of_a_watch_say_where_it_begins_and_in_which_history(client, daemon):
    put_many(client, 3)
    live = metadata_of(client.WatchEvents())
    assert live["agentkeeper-sequence"] == "3"
    assert metadata_of(client.WatchEvents(after_sequence=1))["agentkeeper-sequence"] == "1"
    assert metadata_of(client.WatchEvents(after_sequence=0))["agentkeeper-sequence"] == "0"
    # One history for all connections of a daemon, and another for another daemon.
    assert metadata_of(daemon.client().WatchEvents())["agentkeeper-history"] == live["agentkeeper-history"]
    other = Daemon()
    assert metadata_of(other.client().WatchEvents())["agentkeeper-history"] != live["agentkeeper-history"]
    assert other.stop() == 0
    # What the Python package calls is as it was.
    assert "agentkeeper-sequence" not in metadata_of(client.Watch())
