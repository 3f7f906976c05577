"""A daemon that answers, but not with what is shown: the page says what the daemon says, and no view stops the rest."""

import json
import socket
from urllib.parse import urlsplit

import pytest
from conftest import live, row, try_now
from playwright.sync_api import expect

BANNER = "#banner .banner"


def watched(page, asked):
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))


@pytest.mark.refusal
def test_a_wrong_filter_is_said_to_be_wrong_and_no_stream_is_opened_for_it(open_page, daemon, client):
    anna = client.agent("anna")
    asked = []
    page = live(open_page(f"{daemon.url}/log", before=lambda page: (page.clock.install(), watched(page, asked))))
    streams = asked.count("/events")
    field = page.get_by_label("Agent")
    field.fill("abc")
    expect(page.locator("main")).to_contain_text('agent must be 32 lowercase hex digits, found "abc"')
    expect(page.locator("#connection")).to_have_text("Refused")
    expect(page.locator(".log-state")).to_have_text("")
    expect(page.locator(BANNER)).to_have_count(0)
    # Neither is it asked again.
    before = len(asked)
    page.clock.fast_forward(60000)
    page.wait_for_timeout(500)
    assert asked[before:] == [] and asked.count("/events") == streams
    field.fill(anna)
    live(page)
    expect(row(page, "anna registered")).to_have_count(1)
    assert asked.count("/events") == streams + 1


@pytest.mark.refusal
@pytest.mark.parametrize("path", ["/", "/log"])
def test_a_daemon_whose_streams_are_all_taken_is_not_said_to_be_away(open_page, daemon, path):
    taken = []
    for _ in range(64):
        stream = socket.create_connection(("127.0.0.1", daemon.metrics_port))
        stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(4096).startswith(b"HTTP/1.1 200")
        taken.append(stream)
    page = open_page(daemon.url + path)
    expect(page.locator(BANNER)).to_contain_text("Not live: 64 streams are open at this port, the most that may be.")
    expect(page.locator(BANNER)).not_to_contain_text("nothing answers")
    for stream in taken:
        stream.close()
    try_now(page)
    live(page)
    expect(page.locator(BANNER)).to_have_count(0)


def answer(body, status=200):
    """What the one stream of a view brings, of its first address."""
    data = json.dumps({"q": 0, "status": status, "body": body})
    return lambda page: page.route(
        "**/api/v1/live**",
        lambda route: route.fulfill(
            headers={"content-type": "text/event-stream"}, body=f"retry: 1000\n\nevent: answer\ndata: {data}\n\n"
        ),
    )


def test_an_overview_that_is_an_error_stops_nothing(open_page, daemon):
    error = {"error": {"status": 503, "code": "unavailable", "message": "not now"}}
    page = open_page(daemon.url, before=answer(error, 503))
    expect(page.locator("main")).to_contain_text("not now")
    page.get_by_role("link", name="Policies", exact=True).click()
    expect(page.locator("h1")).to_have_text("Policies")
    expect(page.locator("#nav [aria-current=page]")).to_have_text("Policies")


@pytest.mark.refusal
def test_a_view_that_cannot_be_drawn_says_so_and_the_page_goes_on(open_page, daemon):
    page = open_page(daemon.url, before=answer({"counts": None}))
    expect(page.locator("main")).to_contain_text("This view could not be drawn from what the daemon said.")
    page.get_by_role("link", name="Policies", exact=True).click()
    expect(page.locator("h1")).to_have_text("Policies")
