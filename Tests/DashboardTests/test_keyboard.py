"""All of it without a mouse."""

import pytest
from conftest import VIEWS, live, row
from playwright.sync_api import expect


@pytest.fixture
def staffed(client):
    for name in ("anna", "ben", "clara"):
        client.agent(name)


def test_the_first_tab_leads_to_the_content(page):
    live(page).keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_g_and_a_letter_go_to_each_view(page):
    live(page)
    for key, path in [*zip("aletpwv", VIEWS[1:], strict=True), ("o", "/")]:
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("#nav [aria-current=page]")).to_have_attribute("href", path)
        expect(page.locator("h1")).to_be_focused()


def test_arrows_walk_the_rows_and_enter_opens_one(open_page, daemon, staffed):
    page = live(open_page(f"{daemon.url}/agents"))
    expect(row(page, "clara")).to_have_count(1)
    for key in ("ArrowDown", "j", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    expect(row(page, "ben").get_by_role("link").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("ben")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Agents")


def test_slash_goes_to_the_search_and_escape_leaves_it(open_page, daemon, staffed):
    page = live(open_page(f"{daemon.url}/agents"))
    page.keyboard.press("/")
    expect(page.get_by_label("Find")).to_be_focused()
    # A letter in a field is a letter.
    page.keyboard.type("g a?")
    expect(page.get_by_label("Find")).to_have_value("g a?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_label("Find")).not_to_be_focused()


def test_the_question_mark_tells_the_keys(page):
    live(page).keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_space_pauses_the_log_and_escape_closes_an_event(open_page, daemon, staffed):
    page = live(open_page(f"{daemon.url}/log"))
    expect(row(page, "clara registered")).to_have_count(1)
    page.keyboard.press("Space")
    expect(page.locator(".log-state")).to_have_text("Paused")
    page.keyboard.press("Space")
    expect(page.locator(".log-state")).to_have_text("Following what happens")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".event-panel")).to_contain_text("clara registered")
    page.keyboard.press("Escape")
    expect(page.locator(".event-panel")).to_have_count(0)


def test_an_action_is_taken_and_left_by_keyboard(open_page, start):
    daemon = start("--dashboard-actions")
    client = daemon.client()
    client.lease("report-7", client.agent("anna"), ttl_seconds=600)
    page = live(open_page(f"{daemon.url}/leases/report-7"))
    page.get_by_role("button", name="Release…").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    # What changes nothing has the focus first.
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Release…")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nobody holds this now.")).to_be_visible()
    expect(page.locator("h1")).to_be_focused()


def test_what_has_the_focus_is_seen(open_page, daemon, staffed):
    page = live(open_page(f"{daemon.url}/agents"))
    expect(row(page, "clara")).to_have_count(1)
    unseen = []
    for _ in range(25):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "(e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth, e.outerHTML.slice(0, 80)])(document.activeElement)"
        )
        if outline[0] == "none" or outline[1] == "0px":
            unseen.append(outline[2])
    assert not [each for each in unseen if not each.startswith("<body")]
