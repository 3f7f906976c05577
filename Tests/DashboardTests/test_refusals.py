"""A daemon that answers, but not with what is shown: the page says what the daemon says, and no view stops the rest."""

import json

import pytest
from playwright.sync_api import expect


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
