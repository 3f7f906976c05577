"""What changes is seen by itself: over one stream, in place, without asking again."""

import re
import time
from urllib.parse import urlsplit

from conftest import live, row
from machine import withheld_from_all
from playwright.sync_api import expect


def least_time(client, seen):
    """Registers agents, and gives the shortest time in which one was seen, in seconds: what is proved is how the page hears
    of it, and so what the machine withheld from daemon and browser does not count."""
    took = []
    for number in range(1, 6):
        client.agent(f"agent-{number}")
        begun, withheld = time.monotonic(), withheld_from_all()
        seen(number)
        took.append(time.monotonic() - begun - (withheld_from_all() - withheld))
    print("seen after", took)
    return min(took)


def test_a_change_is_seen_within_a_second(page, client):
    live(page)
    tile = page.locator(".tile").filter(has_text="Agents alive").locator(".tile-value")
    assert least_time(client, lambda number: expect(tile).to_have_text(str(number))) < 1


def test_the_log_shows_an_event_within_a_second(open_page, daemon, client):
    page = live(open_page(f"{daemon.url}/log"))
    assert least_time(client, lambda number: expect(row(page, f"agent-{number} registered")).to_have_count(1)) < 1


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
