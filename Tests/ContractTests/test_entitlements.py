"""SetPolicy, DeletePolicy, ListPolicies, CheckPolicy: wildcards, precedence, the reasons word for word."""

import pytest

from keeper import Code, Watcher, payload, pb, refused

ALLOW, DENY = pb.POLICY_EFFECT_ALLOW, pb.POLICY_EFFECT_DENY


def put(client, id="p", subject="*", action="*", resource="*", effect=ALLOW):
    policy = dict(id=id, subject=subject, action=action, resource=resource, effect=effect)
    assert client.SetPolicy(policy=policy).policy == pb.Policy(**policy)
    return policy


def check(client, subject="agent:a", action="call", resource="tool:t"):
    reply = client.CheckPolicy(subject=subject, action=action, resource=resource)
    return reply.allowed, reply.reason


def ids(reply):
    return [policy.id for policy in reply.policies]


def test_nothing_matches_means_denied(client):
    assert check(client) == (False, "no matching policy (default deny)")


def test_the_reasons_name_the_policy(client):
    put(client, "yes")
    assert check(client) == (True, 'allowed by policy "yes"')
    put(client, "no", effect=DENY)
    assert check(client) == (False, 'denied by policy "no"')


def test_the_smallest_id_is_named(client):
    for id in ("b", "c", "a", "B", "aa"):
        put(client, id)
    assert check(client) == (True, 'allowed by policy "B"')
    for id in ("z2", "z1"):
        put(client, id, effect=DENY)
    assert check(client) == (False, 'denied by policy "z1"')


@pytest.mark.parametrize("field", ["id", "subject", "action", "resource"])
def test_a_policy_needs_every_field(client, field):
    with refused(Code.INVALID_ARGUMENT, field):
        put(client, **{field: ""})


def test_a_policy_needs_an_effect(client):
    for effect in (0, 3, 7):
        with refused(Code.INVALID_ARGUMENT, "effect"):
            put(client, effect=effect)
    with refused(Code.INVALID_ARGUMENT, "policy"):
        client.SetPolicy()


def test_a_policy_is_replaced_by_its_id(client):
    put(client, "p", effect=ALLOW)
    put(client, "p", effect=DENY)
    assert check(client) == (False, 'denied by policy "p"')
    assert ids(client.ListPolicies()) == ["p"]


def test_a_deleted_policy_no_longer_counts_and_an_unknown_one_is_not_found(client):
    put(client, "p")
    client.DeletePolicy(id="p")
    assert check(client) == (False, "no matching policy (default deny)")
    with refused(Code.NOT_FOUND, "p"):
        client.DeletePolicy(id="p")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("tool:*", "tool:", True),
        ("tool:*", "tool:a/b:c", True),
        ("tool:*", "tools:a", False),
        ("*", "x", True),
        ("*:write*", "tool:fs:write_file", True),
        ("a*b*c", "abc", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("**", "anything", True),
        ("a**b", "ab", True),
        ("ab", "abc", False),
        ("b", "ab", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("*ab*", "xxaab", True),
        ("Tool", "tool", False),
        ("a.c", "abc", False),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("é*", "école", True),
        ("e*", "école", False),
    ],
)
@pytest.mark.parametrize("field", ["subject", "action", "resource"])
def test_a_star_matches_any_run_and_all_else_is_literal(client, field, pattern, text, matches):
    put(client, **{field: pattern})
    assert check(client, **{field: text})[0] is matches


def test_a_star_in_a_question_is_a_star(client):
    put(client, resource="tool:x")
    assert not check(client, resource="tool:*")[0]
    put(client, "q", resource="tool:*")
    assert check(client, resource="tool:*") == (True, 'allowed by policy "q"')


def test_all_three_fields_must_match(client):
    put(client, subject="agent:a", action="call", resource="tool:t")
    assert check(client)[0]
    assert not check(client, subject="agent:b")[0]
    assert not check(client, action="read")[0]
    assert not check(client, resource="tool:u")[0]


def test_matching_has_no_bad_case(client):
    for number in range(20):
        put(client, f"p{number}", resource="a*" * 511 + "b")
    # Backtracking would take longer than the universe is old, and than the call's deadline; 20 times 1 KiB × 4 KiB is a
    # moment.
    assert not check(client, resource="a" * 4_095 + "c")[0]


def test_patterns_and_questions_are_bounded(client):
    put(client, resource="x" * 1_024)
    with refused(Code.INVALID_ARGUMENT, "resource"):
        put(client, resource="x" * 1_025)
    assert not check(client, resource="x" * 4_096)[0]
    with refused(Code.INVALID_ARGUMENT, "resource"):
        check(client, resource="x" * 4_097)


@pytest.mark.parametrize("field", ["subject", "action", "resource"])
def test_an_empty_text_is_matched_by_stars_alone(client, field):
    put(client, **{field: "x*"})
    assert not check(client, **{field: ""})[0]
    put(client, **{field: "**"})
    assert check(client, **{field: ""})[0]


def test_policies_are_listed_by_id_and_filtered_by_a_literal_prefix(client):
    for id, subject in (("c", "agent:a"), ("a", "agent:ab"), ("b", "agent:*"), ("Z", "team:a")):
        put(client, id, subject=subject)
    assert ids(client.ListPolicies()) == ["Z", "a", "b", "c"]
    assert ids(client.ListPolicies(subject_prefix="agent:a")) == ["a", "c"]
    assert ids(client.ListPolicies(subject_prefix="agent:*")) == ["b"]
    assert ids(client.ListPolicies(subject_prefix="agent")) == ["a", "b", "c"]
    assert ids(client.ListPolicies(subject_prefix="nobody")) == []


def test_policies_can_be_read_in_pages(client):
    expected = [f"p{number:03}" for number in range(25)]
    for id in reversed(expected):
        put(client, id, subject="agent:a" if id < "p020" else "team:b")
    for prefix, count in (("", 25), ("agent:", 20)):
        seen, token, pages = [], "", 0
        while token or not pages:
            page = client.ListPolicies(subject_prefix=prefix, page_size=10, page_token=token)
            assert len(page.policies) <= 10
            seen, token, pages = seen + ids(page), page.next_page_token, pages + 1
        assert seen == expected[:count] and pages == -(-count // 10)


def test_policy_events_carry_the_policy(client):
    watcher = Watcher(client.Watch(topics=["policy."]))
    policy = pb.Policy(**put(client, "p"))
    client.DeletePolicy(id="p")
    events = watcher.take(2)
    assert [event.topic for event in events] == ["policy.set", "policy.deleted"]
    assert [payload(event) for event in events] == [policy, policy]
