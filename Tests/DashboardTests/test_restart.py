"""A daemon that goes away, comes back, or comes back as another. The page never passes off what is old as what is."""

import os
import re
import signal

import pytest
from conftest import live, row
from playwright.sync_api import expect

BANNER = "#banner .banner"


def ports_of(daemon):
    return daemon.port, daemon.metrics_port


@pytest.mark.outage
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_durable_daemon_is_followed_over_its_restart(open_page, start, tmp_path, how):
    daemon = start("--data-dir", tmp_path / "data")
    client = daemon.client()
    anna = client.agent("anna")
    client.lease("report-7", anna, ttl_seconds=600)
    page = live(open_page(f"{daemon.url}/leases"))
    expect(row(page, "report-7")).to_have_count(1)
    daemon.stop(how)
    expect(page.locator(BANNER)).to_contain_text("Stale: the daemon has not been heard since")
    expect(page.locator("#connection")).to_have_text("Stale")
    expect(row(page, "report-7")).to_have_count(1)
    start("--data-dir", tmp_path / "data", ports=ports_of(daemon))
    expect(page.locator(BANNER)).to_contain_text("The daemon was restarted")
    expect(page.locator(BANNER)).to_contain_text("Nothing that it had answered is lost.")
    live(page)
    expect(row(page, "report-7")).to_have_count(1)
    page.get_by_role("button", name="Close this message").click()
    expect(page.locator(BANNER)).to_have_count(0)


@pytest.mark.outage
@pytest.mark.parametrize("path", ["/agents", "/log"])
def test_a_daemon_that_began_anew_is_shown_as_that(open_page, start, path):
    daemon = start()
    daemon.client().agent("anna")
    page = live(open_page(daemon.url + path))
    expect(row(page, "anna")).to_have_count(1)
    daemon.stop()
    expect(page.locator(BANNER)).to_contain_text("Stale")
    again = start(ports=ports_of(daemon))
    expect(page.locator(BANNER)).to_contain_text("The daemon began anew")
    expect(page.locator(BANNER)).to_contain_text("--data-dir")
    live(page)
    expect(row(page, "anna")).to_have_count(0)
    again.client().agent("ben")
    expect(row(page, "ben")).to_have_count(1)


@pytest.mark.outage
def test_the_log_goes_on_without_a_gap_over_a_durable_restart(open_page, start, tmp_path):
    daemon = start("--data-dir", tmp_path / "data")
    client = daemon.client()
    client.agent("before")
    page = live(open_page(f"{daemon.url}/log"))
    expect(row(page, "before registered")).to_have_count(1)
    daemon.stop()
    expect(page.locator(BANNER)).to_contain_text("Stale")
    again = start("--data-dir", tmp_path / "data", ports=ports_of(daemon))
    client = again.client()
    for number in range(3):
        client.agent(f"after-{number}")
    live(page)
    expect(row(page, "registered")).to_have_count(4)
    sequences = [int(text) for text in page.locator("#log .row [href*='at=']").all_inner_texts()]
    assert sequences == list(range(max(sequences), 0, -1))


@pytest.mark.outage
def test_bars_stand_still_while_what_they_show_is_stale(open_page, start):
    daemon = start()
    client = daemon.client()
    client.lease("report-7", client.agent("anna"), ttl_seconds=30)
    page = live(open_page(f"{daemon.url}/leases"))
    expect(row(page, "report-7")).to_have_count(1)
    daemon.stop()
    expect(page.locator(BANNER)).to_contain_text("Stale")
    frozen = page.locator(".bar-fill").get_attribute("style")
    # Time passes: the banner counts it.
    expect(page.locator(BANNER)).to_contain_text(re.compile(r"\(([2-9]|\d\d+) s\)"))
    assert page.locator(".bar-fill").get_attribute("style") == frozen


@pytest.mark.outage
def test_a_daemon_that_hangs_is_stale_too(open_page, daemon):
    """Its connections stay open, and nothing comes. The browser's clock is turned, the daemon is really stopped."""
    page = live(open_page(f"{daemon.url}/agents", before=lambda page: page.clock.install()))
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        page.clock.fast_forward(7000)
        expect(page.locator(BANNER)).to_contain_text("Stale")
        page.get_by_role("button", name="Try now").click()
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    live(page)
    expect(page.locator(BANNER)).to_have_count(0)


@pytest.mark.outage
def test_a_view_opened_while_the_daemon_is_away_shows_itself_when_it_is_back(open_page, start):
    daemon = start()
    page = live(open_page(daemon.url))
    daemon.stop()
    expect(page.locator(BANNER)).to_contain_text("Stale")
    page.get_by_role("link", name="Agents", exact=True).click()
    expect(page.locator("h1")).to_have_text("Agents")
    again = start(ports=ports_of(daemon))
    again.client().agent("ben")
    live(page)
    expect(row(page, "ben")).to_have_count(1)


@pytest.mark.outage
def test_the_log_opened_while_the_daemon_is_away_shows_the_events_when_it_is_back(open_page, start, tmp_path):
    """The history is the same, so nothing but the connection's return says that it is to be read again."""
    daemon = start("--data-dir", tmp_path / "data")
    client = daemon.client()
    for number in range(250):
        client.agent(f"agent-{number:03}")
    asked = []
    page = live(
        open_page(daemon.url, before=lambda page: page.on("request", lambda request: asked.append(request.url)))
    )
    daemon.stop()
    expect(page.locator(BANNER)).to_contain_text("Stale")
    page.get_by_role("link", name="Events", exact=True).click()
    expect(page.locator("h1")).to_have_text("Events")
    again = start("--data-dir", tmp_path / "data", ports=ports_of(daemon))
    live(page)
    expect(row(page, "agent-249 registered")).to_have_count(1)
    expect(page.locator("main")).not_to_contain_text("cannot be read")
    again.client().agent("later")
    expect(row(page, "later registered")).to_have_count(1)
    streams = [url for url in asked if "/events?" in url and "/api/" not in url]
    assert streams and all("after=250" in url for url in streams), streams
