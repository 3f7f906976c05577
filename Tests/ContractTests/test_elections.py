"""Campaign, Resign, WatchElection: a stable leader, a queue of candidates, a term that only grows."""

import pytest

from keeper import Code, Watcher, payload, pb, refused, seconds

UNKNOWN = "0" * 32


@pytest.fixture
def agents(client):
    return [client.agent(name) for name in ("first", "second", "third")]


def campaign(client, agent, group="g"):
    return client.Campaign(group=group, agent_id=agent).state


def test_the_first_candidate_leads_and_a_newcomer_does_not_displace_it(client, agents):
    first, second, _ = agents
    state = campaign(client, first)
    assert (state.group, state.leader_agent_id, state.term) == ("g", first, 1)
    assert state.HasField("elected_at")
    assert campaign(client, second) == state
    assert campaign(client, first) == state


def test_the_longest_waiting_candidate_leads_next(client, agents):
    for agent in (*agents, agents[1]):  # a second call does not move one to the end of the queue
        campaign(client, agent)
    client.Resign(group="g", agent_id=agents[0])
    assert campaign(client, agents[2]).leader_agent_id == agents[1]
    campaign(client, agents[0])
    client.Resign(group="g", agent_id=agents[1])
    assert campaign(client, agents[0]).leader_agent_id == agents[2]


def test_the_term_counts_every_change_of_leader_to_nobody_included(client, agents):
    watcher = Watcher(client.WatchEvents(topics=["leader.changed"]))
    first, second, _ = agents
    campaign(client, first)
    campaign(client, second)
    client.Resign(group="g", agent_id=second)
    client.Resign(group="g", agent_id=first)
    campaign(client, second)
    campaign(client, first)
    client.Deregister(agent_id=second)
    states = [payload(event) for event in watcher.take(4)]
    assert [(state.leader_agent_id, state.term) for state in states] == [(first, 1), ("", 2), (second, 3), (first, 4)]
    assert [state.HasField("elected_at") for state in states] == [True, False, True, True]


def test_groups_are_apart(client, agents):
    assert campaign(client, agents[0], "a").leader_agent_id == agents[0]
    assert campaign(client, agents[1], "b").leader_agent_id == agents[1]
    client.Resign(group="a", agent_id=agents[0])
    assert campaign(client, agents[1], "b").term == 1


def test_resigning_without_having_campaigned_does_nothing(client, agents):
    client.Resign(group="nowhere", agent_id=agents[0])
    state = campaign(client, agents[0])
    client.Resign(group="g", agent_id=agents[1])
    assert campaign(client, agents[0]) == state


def test_only_the_living_are_candidates(client, agents):
    for call in (client.Campaign, client.Resign):
        with refused(Code.NOT_FOUND, UNKNOWN):
            call(group="g", agent_id=UNKNOWN)
    client.Deregister(agent_id=agents[0])
    with refused(Code.NOT_FOUND, agents[0]):
        client.Campaign(group="g", agent_id=agents[0])


def test_a_candidate_that_died_is_passed_over(client, agents):
    for agent in agents:
        campaign(client, agent)
    client.Deregister(agent_id=agents[1])
    client.Resign(group="g", agent_id=agents[0])
    assert campaign(client, agents[2]).leader_agent_id == agents[2]


def test_watch_election_begins_with_the_present_state(client, agents):
    changes = Watcher(client.WatchEvents(topics=["leader.changed"]))
    state = campaign(client, agents[0])
    change = changes.next()
    client.agent("noise")  # so that the last change is not the last event
    watcher = Watcher(client.WatchElection(group="g"))
    now = watcher.next()
    assert now.topic == "leader.changed" and payload(now) == state
    assert (now.sequence_number, now.occurred_at) == (change.sequence_number, change.occurred_at)
    campaign(client, agents[1], "elsewhere")
    client.Resign(group="g", agent_id=agents[0])
    then = watcher.next()
    assert payload(then) == pb.ElectionState(group="g", term=2)
    assert then.sequence_number > now.sequence_number
    assert seconds(then.occurred_at) > 0


def test_watch_election_of_a_group_that_does_not_exist_begins_with_its_first_change(client, agents):
    watcher = Watcher(client.WatchElection(group="g"))
    state = campaign(client, agents[0])
    assert payload(watcher.next()) == state


def test_watch_election_knows_a_group_that_nobody_leads(client, agents):
    campaign(client, agents[0])
    client.Resign(group="g", agent_id=agents[0])
    assert payload(Watcher(client.WatchElection(group="g")).next()) == pb.ElectionState(group="g", term=2)


def test_watch_election_needs_a_group(client):
    assert Watcher(client.WatchElection()).ended() == Code.INVALID_ARGUMENT
