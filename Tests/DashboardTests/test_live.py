"""What changes is seen by itself: over one stream, in place, without asking again."""

import re
import time
from urllib.parse import urlsplit

import pytest
from conftest import live, row
from machine import Pulse, waits_of_children
from playwright.sync_api import expect


def seen_after(page, client, changes=6):
    """How long after each registration the page showed it, by the page's own watch over its document, which no polling
    of a test delays: seconds, and of these those for which this machine was too busy."""
    page.evaluate(r"""() => {
        window.seen = {};
        const look = () => {
            for (const [name] of document.body.textContent.matchAll(/agent-\d+-here/g)) window.seen[name] ??= Date.now() / 1000;
        };
        new MutationObserver(look).observe(document.body, { childList: true, characterData: true, subtree: true });
    }""")
    took, pulse = [], Pulse()
    for number in range(changes):
        name = f"agent-{number}-here"
        waits = waits_of_children()
        begun, late = time.time(), pulse.late
        client.agent(name)
        page.wait_for_function("name => window.seen[name]", arg=name)
        # The daemon, the browser and what stands between it and us: each may have waited for a processor.
        waited = sum(max(0, wait - waits.get(pid, 0)) for pid, wait in waits_of_children().items())
        took.append((page.evaluate("name => window.seen[name]", name) - begun, max(pulse.late - late, waited)))
        # Not in step with anything that has a period.
        time.sleep(0.11 * (number + 1))
    pulse.ended.set()
    print("seen after, and of that late:", [f"{total * 1000:.0f} ms ({late * 1000:.0f})" for total, late in took])
    return took


@pytest.mark.parametrize("path", ["/", "/agents", "/log"])
def test_each_change_is_seen_within_a_second(open_page, daemon, client, path):
    """Every one of a handful, and on a machine that is starved, a second of the time in which it was not."""
    page = live(open_page(daemon.url + path))
    took = seen_after(page, client)
    assert all(total - late < 1 for total, late in took), took


def test_one_stream_is_all_that_a_view_asks_for(open_page, daemon, client):
    asked = []
    page = open_page(
        f"{daemon.url}/agents",
        before=lambda page: page.on("request", lambda request: asked.append(urlsplit(request.url).path)),
    )
    live(page)
    for number in range(5):
        client.agent(f"agent-{number}")
        expect(row(page, f"agent-{number}")).to_have_count(1)
    live_asked = [path for path in asked if path.startswith(("/api", "/events"))]
    assert sorted(live_asked) == ["/api/v1/live", "/api/v1/session", "/api/v1/status"]
    with page.expect_request("**/api/v1/live**"):
        page.get_by_role("link", name="Leases").first.click()
    expect(page.locator("h1")).to_have_text("Leases")
    live(page)
    assert [path for path in asked if path.startswith(("/api", "/events"))][3:] == ["/api/v1/live"]


def test_rows_keep_their_identity_focus_and_selection(open_page, daemon, client):
    anna = client.agent("anna")
    client.agent("ben")
    page = open_page(f"{daemon.url}/agents")
    link = row(page, "ben").get_by_role("link").first
    link.focus()
    page.evaluate("""() => {
        window.kept = document.activeElement.closest('.row');
        getSelection().selectAllChildren(window.kept.querySelector('.id'));
    }""")
    client.Deregister(agent_id=anna)
    expect(row(page, "anna")).to_contain_text("dead")
    client.agent("clara")
    expect(row(page, "clara")).to_have_count(1)
    assert page.evaluate("window.kept.isConnected && window.kept.contains(document.activeElement)")
    assert page.evaluate("getSelection().toString() === window.kept.querySelector('.id').textContent")


def test_what_is_being_typed_is_not_disturbed(open_page, daemon, client):
    page = open_page(f"{daemon.url}/policies")
    field = page.get_by_label("Subject", exact=True)
    field.fill("agent:half-typ")
    client.SetPolicy(policy=dict(id="browse", subject="agent:*", action="call", resource="tool:*", effect=1))
    expect(row(page, "browse")).to_have_count(1)
    expect(field).to_have_value("agent:half-typ")
    expect(field).to_be_focused()


def scale(page):
    return float(re.search(r"scaleX\((.*)\)", page.locator(".bar-fill").first.get_attribute("style"))[1])


def test_the_bar_of_a_lease_moves_by_itself_and_a_renewal_refills_it(open_page, daemon, client):
    anna = client.agent("anna")
    lease = client.lease("report-7", anna, ttl_seconds=50)
    page = open_page(f"{daemon.url}/leases")
    expect(page.locator(".bar-fill").first).to_have_attribute("style", re.compile("scaleX"))
    begun = scale(page)
    page.wait_for_function(
        "from => parseFloat(document.querySelector('.bar-fill').style.transform.slice(7)) < from - 0.02", arg=begun
    )
    client.RenewLease(task_id="report-7", agent_id=anna, token=lease.token, ttl_seconds=600)
    expect(row(page, "report-7")).to_contain_text("min")
    page.wait_for_function("parseFloat(document.querySelector('.bar-fill').style.transform.slice(7)) > 0.9")


def test_the_log_can_be_paused_and_resumed(open_page, daemon, client):
    page = live(open_page(f"{daemon.url}/log"))
    client.agent("before")
    expect(row(page, "before registered")).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    client.agent("meanwhile")
    expect(page.locator(".log-state")).to_have_text("Paused; 1 new event")
    expect(row(page, "meanwhile registered")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(row(page, "meanwhile registered")).to_have_count(1)
    client.agent("after")
    expect(row(page, "after registered")).to_have_count(1)


def test_a_tab_that_is_not_looked_at_gives_its_stream_up_and_takes_it_again(open_page, daemon, client):
    closed = []
    page = open_page(
        f"{daemon.url}/agents",
        before=lambda page: (
            page.clock.install(),
            page.on("requestfailed", lambda request: closed.append(request.url)),
        ),
    )
    live(page)
    look = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(look, True)
    assert not closed
    page.clock.fast_forward(20000)
    page.wait_for_function("() => document.documentElement.dataset.connection === 'resting'")
    assert len(closed) == 1 and "/api/v1/live" in closed[0]
    client.agent("anna")
    page.evaluate(look, False)
    live(page)
    expect(row(page, "anna")).to_have_count(1)


def test_two_tabs_see_the_same(open_page, daemon, client):
    first, second = (live(open_page(f"{daemon.url}/agents")) for _ in range(2))
    anna = client.agent("anna")
    for page in (first, second):
        expect(row(page, "anna")).to_contain_text("alive")
    first.close()
    client.Deregister(agent_id=anna)
    expect(row(second, "anna")).to_contain_text("dead")


def test_the_daemons_clock_is_followed_though_the_browsers_runs_fast(page):
    """Half an hour in which this machine's clock gains a second: a bar must not be a second ahead at its end."""
    live(page)
    error = page.evaluate("""async () => {
        const { clock } = await import("/dashboard/clock.js");
        const real = performance.now.bind(performance);
        let passed = 0;
        performance.now = () => passed * (1 + 1 / 1800);
        clock.reset();
        for (; passed <= 1800000; passed += 2000) clock.sample(5000000 + passed - (passed % 6000 ? 80 : 0));
        const error = clock.now() - (5000000 + passed);
        performance.now = real;
        clock.reset();
        return error;
    }""")
    assert abs(error) < 200, error
