"""Events tell why they happened, and which call they answer."""

import pytest

from keeper import PATIENCE, Watcher, pb
from raw_http2 import frame

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def trace(number):
    return f"00-{number:032x}-00000000000000aa-01"


def call(method, *headers, later=False, **fields):
    """A call with metadata."""
    how = method.stub.future if later else method.stub
    return how(method.request(**fields), timeout=PATIENCE, metadata=headers)


def told(events):
    return [(event.topic, event.reason, event.trace_parent) for event in events]


def test_the_trace_of_a_call_comes_back_in_the_events_that_answer_it(client):
    watcher = Watcher(client.WatchEvents())
    card = dict(name="anna")
    agent = call(client.Register, ("traceparent", trace(1)), card=card, ttl_seconds=600).agent_id
    call(client.AcquireLease, ("traceparent", trace(2)), task_id="t", agent_id=agent)
    call(client.Campaign, ("traceparent", trace(3)), group="g", agent_id=agent)
    client.Heartbeat(agent_id=agent)
    call(client.Deregister, ("traceparent", trace(4)), agent_id=agent)
    assert told(watcher.take(6)) == [
        ("agent.registered", "", trace(1)),
        ("lease.acquired", "", trace(2)),
        ("leader.changed", "campaigned", trace(3)),
        ("agent.died", "deregistered", trace(4)),
        ("lease.expired", "holder_died", trace(4)),
        ("leader.changed", "leader_died", trace(4)),
    ]


def test_what_was_waited_for_carries_the_trace_of_the_call_that_waited(client):
    anna, ben = client.agent("anna"), client.agent("ben")
    token = client.lease("t", anna).token
    watcher = Watcher(client.WatchEvents(topics=["lease.", "task."]))
    lease = call(
        client.AcquireLease, ("traceparent", trace(1)), later=True, task_id="t", agent_id=ben, wait_ms=PATIENCE * 1_000
    )
    claim = call(client.ClaimTask, ("traceparent", trace(2)), later=True, agent_id=ben)
    # Both wait when a later call of their connection is answered.
    client.Heartbeat(agent_id=ben)
    call(client.ReleaseLease, ("traceparent", trace(3)), task_id="t", agent_id=anna, token=token)
    call(client.CreateTask, ("traceparent", trace(4)), type="w")
    assert lease.result().acquired and claim.result().task.id
    assert told(watcher.take(4)) == [
        ("lease.released", "", trace(3)),
        ("lease.acquired", "", trace(1)),
        ("task.created", "", trace(4)),
        ("task.claimed", "", trace(2)),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "00-" + "0" * 32 + "-00f067aa0ba902b7-01")],
        [("traceparent", TRACE.upper())],
        [("traceparent", TRACE[:-1])],
        [("traceparent", TRACE + "-00")],
        [("traceparent", "ff" + TRACE[2:])],
        [("traceparent", "")],
        [("traceparent", "x" * 5_000)],
        [("tracestate", "a=b"), ("x-traceparent", TRACE)],
    ],
    ids=["zero", "capitals", "short", "long", "version ff", "empty", "huge", "others"],
)
def test_a_malformed_trace_is_as_if_it_were_not_there(client, headers):
    watcher = Watcher(client.WatchEvents())
    assert call(client.Register, *headers, card=dict(name="anna")).agent_id
    assert told(watcher.take(1)) == [("agent.registered", "", "")]


def test_of_two_traces_none_is_believed(client, raw):
    """By hand: grpcio sends one of them."""
    watcher = Watcher(client.WatchEvents())
    watcher.call.initial_metadata()  # What follows comes on another connection.
    request = pb.RegisterRequest(card=dict(name="anna")).SerializeToString()
    for headers in ([("traceparent", TRACE)], [("traceparent", TRACE), ("traceparent", trace(1))]):
        stream = raw.start("/agentkeeper.v1.RegistryService/Register", *headers)
        raw.send(stream, frame(request))
        assert raw.reply(stream).grpc_status == 0
    assert told(watcher.take(2)) == [("agent.registered", "", TRACE), ("agent.registered", "", "")]


def test_of_a_later_version_what_is_known_is_read(client):
    watcher = Watcher(client.WatchEvents())
    call(client.Register, ("traceparent", "cc" + TRACE[2:] + "-and-more"), card=dict(name="anna"))
    assert watcher.next().trace_parent == TRACE


def test_who_begins_to_watch_an_election_is_told_why_its_leader_leads(client):
    anna, ben = client.agent("anna"), client.agent("ben")
    client.Campaign(group="g", agent_id=anna)
    client.Campaign(group="g", agent_id=ben)
    call(client.Resign, ("traceparent", TRACE), group="g", agent_id=anna)
    event = Watcher(client.WatchElection(group="g")).next()
    assert told([event]) == [("leader.changed", "resigned", TRACE)]
