"""Ten thousand agents, and more events than anybody reads: what the page holds stays bounded."""

import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from conftest import live, row
from playwright.sync_api import expect

AGENTS = 10_000
# A screenful of rows and a few around it, whatever there is.
MOST_NODES = 3000
MOST_HEAP_BYTES = 64 << 20


def register(client, count, prefix="agent"):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.agent(f"{prefix}-{number:05}", tools=["browser"], ttl=36000), range(count)))


def nodes(page):
    return page.evaluate("document.querySelectorAll('*').length")


def heap(page):
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


def test_ten_thousand_agents_are_paged_and_scrolled_in_bounds(open_page, daemon, client):
    register(client, AGENTS)
    page = live(open_page(f"{daemon.url}/agents"))
    expect(page.locator(".pager").first).to_contain_text("200 of 10,000 agents")
    assert page.get_by_role("table", name="Agents").get_attribute("aria-rowcount") == "10001"
    first = page.locator("#agents .name").first.inner_text()
    # To the end of the page: the last row is there, and the first has left.
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator("#agents .row[data-row='199']")).to_be_in_viewport()
    assert nodes(page) < MOST_NODES
    seen = {first}
    page.evaluate("scrollTo(0, 0)")
    for number in range(2, 12):
        page.get_by_role("link", name="Next").click()
        expect(page.locator(".pager").first).to_contain_text(f"Page {number}:")
        expect(page.locator("#agents .name").first).not_to_have_text(first)
        first = page.locator("#agents .name").first.inner_text()
        assert first not in seen
        seen.add(first)
        assert nodes(page) < MOST_NODES
    page.get_by_role("link", name="Previous").click()
    expect(page.locator(".pager").first).to_contain_text("Page 10:")
    page.go_back()
    expect(page.locator(".pager").first).to_contain_text("Page 11:")
    page.reload()
    expect(page.locator("#agents .name").first).to_have_text(first)
    assert heap(page) < MOST_HEAP_BYTES
    # And the page still answers: a search over all of them.
    client.agent("needle", description="threads the haystack")
    page.get_by_label("Find").fill("haystack")
    expect(page.locator("#agents .name").first).to_have_text("needle")


def test_the_focused_row_is_kept_however_far_one_scrolls(open_page, daemon, client):
    register(client, 200)
    page = live(open_page(f"{daemon.url}/agents"))
    page.locator("#agents .name").nth(3).focus()
    name = page.evaluate("document.activeElement.textContent")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator("#agents .row[data-row='199']")).to_be_in_viewport()
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#agents .row[data-row='0']")).to_be_in_viewport()
    assert page.evaluate("document.activeElement.textContent") == name


def test_the_log_keeps_two_thousand_events_at_the_most(open_page, daemon, client):
    anna = client.agent("anna")
    page = live(open_page(f"{daemon.url}/log"))

    def work(worker):
        for number in range(375):
            task = f"task-{worker}-{number}"
            lease = client.lease(task, anna)
            client.ReleaseLease(task_id=task, agent_id=anna, token=lease.token)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    client.agent("the-last")
    expect(row(page, "the-last registered")).to_have_count(1)
    expect(page.get_by_text("Not more than 2,000 are kept here at a time.")).to_be_attached()
    assert nodes(page) < MOST_NODES
    assert heap(page) < MOST_HEAP_BYTES
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator("#log .row[data-row='1999']")).to_be_in_viewport()
    assert nodes(page) < MOST_NODES
    # Older ones come from the daemon, and the newest make room.
    page.get_by_role("button", name="Show older").click()
    expect(page.locator(".log-state")).to_contain_text("Paused")
    assert nodes(page) < MOST_NODES


def test_more_than_anybody_reads_is_sampled_and_said_to_be(open_page, daemon, client):
    """The stream is flooded by itself, once; what follows is the daemon's own. The page's clock stands still, so that the
    flood comes within a second, however slow the browser."""
    client.agent("before")
    event = {"topic": "lease.acquired", "occurred_at": "2026-01-01T12:00:00.000Z", "agent_id": "0" * 32, "reason": None}
    subject = {"lease": {"task_id": "t", "acquired_at": event["occurred_at"], "expires_at": event["occurred_at"]}}
    flood = "".join(
        f"data: {json.dumps({'sequence': number, **event, 'subject': subject})}\n\n" for number in range(2, 8000)
    )

    def flooded(page):
        page.add_init_script("performance.now = () => 1000")
        page.route(
            lambda url: urlsplit(url).path == "/events",
            lambda route: route.fulfill(headers={"content-type": "text/event-stream"}, body=flood),
            times=1,
        )

    page = open_page(f"{daemon.url}/log", before=flooded)
    expect(page.locator("main .banner")).to_contain_text("Too fast to show one by one:")
    expect(page.locator(".log-state")).to_have_text("Showing the latest")
    # It has become calm.
    expect(page.locator("main .banner")).to_have_count(0)
    expect(page.locator(".log-state")).to_have_text("Following what happens")
    client.agent("after")
    expect(row(page, "after registered")).to_have_count(1)
    expect(page.locator("#log .table-body > .row")).to_have_count(2)
    live(page)


def test_whoever_reads_below_is_not_pushed_away_by_what_comes_in_above(open_page, daemon, client):
    for number in range(150):
        client.agent(f"agent-{number:03}")
    page = live(open_page(f"{daemon.url}/log"))
    expect(row(page, "agent-149 registered")).to_have_count(1)
    page.evaluate("scrollTo(0, 2000)")
    target = row(page, "agent-090 registered")
    expect(target).to_have_count(1)
    before = target.bounding_box()["y"]
    for number in range(5):
        client.agent(f"late-{number}")
    page.wait_for_function("() => document.querySelector('#log').textContent.includes('agent-090') && scrollY > 2100")
    assert abs(target.bounding_box()["y"] - before) < 3
