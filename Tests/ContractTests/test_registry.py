"""Register, Heartbeat, Deregister, GetAgent, Find. What time does to an agent is in test_liveness.py."""

import re

import pytest

from keeper import Code, Watcher, payload, pb, refused

UNKNOWN = "0" * 32


def names(reply):
    return [agent.card.name for agent in reply.agents]


def test_an_agent_is_what_it_said_when_it_registered(client):
    card = dict(
        name="scraper",
        description="Fetches pages",
        version="1.2.3",
        tools=["browser", "http"],
        capabilities=[dict(name="crawl", description="follows links")],
        metadata={"team": "data", "region": "eu"},
    )
    agent_id = client.Register(card=card, ttl_seconds=60).agent_id
    assert re.fullmatch("[0-9a-f]{32}", agent_id)
    agent = client.GetAgent(agent_id=agent_id).agent
    assert agent.agent_id == agent_id
    assert agent.card == pb.AgentCard(**card)
    assert agent.status == pb.AGENT_STATUS_ALIVE
    assert agent.registered_at == agent.last_heartbeat_at != type(agent.registered_at)()


def test_a_registration_without_a_name_is_refused(client):
    with refused(Code.INVALID_ARGUMENT, "card"):
        client.Register()
    with refused(Code.INVALID_ARGUMENT, "name"):
        client.Register(card=dict(description="nameless"))


def test_an_agents_ttl_is_at_most_a_week(client):
    client.agent(ttl=604_800)
    with refused(Code.INVALID_ARGUMENT, "ttl_seconds", "604801"):
        client.agent(ttl=604_801)


def test_names_may_repeat(client):
    first, second = client.agent("twin"), client.agent("twin")
    assert first != second
    assert names(client.Find()) == ["twin", "twin"]


def test_a_request_id_makes_one_agent_of_a_repeated_registration(client):
    request = dict(card=dict(name="once"), ttl_seconds=60, request_id="a1b2")
    first = client.Register(**request).agent_id
    assert client.Register(**request).agent_id == first
    assert names(client.Find()) == ["once"]
    with refused(Code.ALREADY_EXISTS, "a1b2"):
        client.Register(card=dict(name="other"), ttl_seconds=60, request_id="a1b2")


def test_a_heartbeat_is_noted(client):
    agent = client.agent()
    before = client.GetAgent(agent_id=agent).agent
    client.Heartbeat(agent_id=agent)
    after = client.GetAgent(agent_id=agent).agent
    assert after.last_heartbeat_at.ToNanoseconds() > before.last_heartbeat_at.ToNanoseconds()
    assert after.registered_at == before.registered_at


def test_a_heartbeat_of_nobody_tells_the_unknown_from_the_dead(client):
    with refused(Code.NOT_FOUND, UNKNOWN) as unknown:
        client.Heartbeat(agent_id=UNKNOWN)
    agent = client.agent()
    client.Deregister(agent_id=agent)
    with refused(Code.NOT_FOUND, agent) as dead:
        client.Heartbeat(agent_id=agent)
    assert "dead" in dead.value.details().lower()
    assert "dead" not in unknown.value.details().lower()


def test_deregistration_is_death_at_once_and_only_once(client):
    watcher = Watcher(client.WatchEvents(topics=["agent."]))
    agent = client.agent()
    client.Deregister(agent_id=agent)
    assert client.GetAgent(agent_id=agent).agent.status == pb.AGENT_STATUS_DEAD
    client.Deregister(agent_id=agent)
    client.agent("last")
    topics = [event.topic for event in watcher.take(3)]
    assert topics == ["agent.registered", "agent.died", "agent.registered"]


def test_an_unknown_agent_is_not_found(client):
    for call in (client.Deregister, client.GetAgent, client.Heartbeat):
        with refused(Code.NOT_FOUND, UNKNOWN):
            call(agent_id=UNKNOWN)


def test_find_shows_only_the_living(client):
    gone = client.agent("gone")
    client.agent("here")
    client.Deregister(agent_id=gone)
    assert names(client.Find()) == ["here"]


def test_find_wants_all_of_the_tools_letter_for_letter(client):
    client.agent("both", tools=["browser", "sql"])
    client.agent("one", tools=["browser"])
    client.agent("other", tools=["Browser", "sql-runner"])
    assert names(client.Find(tools=["browser"])) == ["both", "one"]
    assert names(client.Find(tools=["sql", "browser"])) == ["both"]
    assert names(client.Find(tools=["nothing"])) == []


@pytest.mark.parametrize(
    "card",
    [
        dict(name="invoice"),
        dict(name="x", description="reads an invoice"),
        dict(name="x", tools=["invoice"]),
        dict(name="x", capabilities=[dict(name="invoice")]),
        dict(name="x", capabilities=[dict(name="y", description="about the invoice")]),
        dict(name="x", metadata={"subject": "invoice"}),
        dict(name="x", description="Reads INVOICES"),
    ],
    ids=["name", "description", "tool", "capability", "capability's description", "metadata", "plural in capitals"],
)
def test_a_query_ranks_by_each_part_of_the_card_and_filters_nothing(client, card):
    client.agent("first")
    client.Register(card=card, ttl_seconds=60)
    client.agent("third")
    assert names(client.Find(query="invoice")) == [card["name"], "first", "third"]


@pytest.mark.parametrize("query", ["browse", "browses", "browsed", "browsing"])
def test_forms_of_a_word_count_as_the_word(client, query):
    client.agent("dull", description="adds numbers")
    client.agent("apt", description="browses the web")
    assert names(client.Find(query=query)) == ["apt", "dull"]


def test_the_same_score_goes_by_the_oldest_registration(client):
    for number in range(20):
        client.agent(f"replica-{number}", description="writes reports")
    expected = [f"replica-{number}" for number in range(20)]
    assert names(client.Find(query="reports")) == expected
    assert names(client.Find(query="unrelated")) == expected
    assert names(client.Find()) == expected


def test_more_of_the_query_ranks_higher(client):
    client.agent("half", description="cleans data for hours on end")
    client.agent("whole", description="cleans and plots data")
    client.agent("none", description="sends mail")
    assert names(client.Find(query="plots of data")) == ["whole", "half", "none"]


def test_the_limit_is_kept_and_never_above_a_thousand(client):
    futures = [client.Register.future(card=dict(name=f"n{number}")) for number in range(1_003)]
    for future in futures:
        future.result()
    assert len(client.Find(limit=7).agents) == 7
    assert len(client.Find(limit=0).agents) == 1_000
    assert len(client.Find(limit=4_294_967_295).agents) == 1_000


def test_a_reply_of_find_stays_below_four_mebibytes(client):
    for number in range(100):
        client.agent(f"n{number}", description="x" * 60_000)
    reply = client.Find()
    assert reply.ByteSize() <= 4 * 1024 * 1024
    # As many as fit, not fewer: the next one would have been too much.
    assert reply.ByteSize() + 2 * 60_000 > 4 * 1024 * 1024 and names(reply)[0] == "n0"


def test_registry_events_carry_the_agent_as_it_was_just_after(client):
    watcher = Watcher(client.Watch(topics=["agent."]))
    agent = client.agent("seen")
    client.Deregister(agent_id=agent)
    registered, died = watcher.take(2)
    assert (registered.topic, died.topic) == ("agent.registered", "agent.died")
    assert payload(registered).agent_id == payload(died).agent_id == agent
    assert payload(registered).status == pb.AGENT_STATUS_ALIVE
    assert payload(died).status == pb.AGENT_STATUS_DEAD
    assert payload(died).card.name == "seen"
