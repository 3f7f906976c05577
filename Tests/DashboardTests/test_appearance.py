"""For every eye, ear and screen: contrast, roles, colour schemes, a phone's width and a wall's, and names that are hostile."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import VIEWS, live, row
from playwright.sync_api import expect

TOKENS = (Path(__file__).resolve().parents[2] / "dashboard/tokens.css").read_text()
HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "\u202edaeh no\u202c مرحبا",
    "x" * 1024,
    "javascript:alert(1)",
    "a\u202e\nb\t c",
    "👩🏽‍🚀🏴‍☠️" * 30,
]


@pytest.fixture
def populated(client):
    """One of everything, and each state of each."""
    ids = [
        client.agent(name, tools=["browser"], description="Reads pages", metadata={"zone": "a"})
        for name in ("anna", "ben")
    ]
    client.Deregister(agent_id=client.agent("gone"))
    client.agent("silent", ttl=1)
    client.lease("report-7", ids[0], ttl_seconds=600)
    for agent in ids:
        client.Campaign(group="planners", agent_id=agent)
    tasks = [client.CreateTask(type="crawl", required_tools=["browser"]).task.id for _ in range(4)]
    for finish in (
        lambda task: client.CompleteTask(task_id=task, agent_id=ids[1]),
        lambda task: client.FailTask(task_id=task, agent_id=ids[1], reason="no"),
        lambda task: None,
    ):
        finish(client.ClaimTask(agent_id=ids[1]).task.id)
    client.SetPolicy(policy=dict(id="browse", subject="agent:*", action="call", resource="tool:*", effect=1))
    client.SetPolicy(policy=dict(id="no-mail", subject="agent:ben", action="call", resource="tool:email", effect=2))
    return [
        "/",
        "/agents",
        f"/agents/{ids[0]}",
        "/leases",
        "/leases/report-7",
        "/elections",
        "/elections/planners",
        "/tasks",
        "/tasks?status=dead",
        f"/tasks/{tasks[1]}",
        "/policies?subject=agent:ben&action=call&resource=tool:email",
        "/policies/no-mail",
        "/watchers",
        "/log",
        "/log?at=3",
        "/nowhere",
    ]


def settled(page):
    live(page) if not page.url.endswith("/nowhere") else None
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    return page


def visit(page, url):
    page.goto(url)
    return settled(page)


def violations(page, path, **options):
    found = Axe().run(page, options={"resultTypes": ["violations"]} | options).response["violations"]
    return [
        f"{path}: {each['id']}: {node['html'][:160]}: {node['failureSummary'][:200]}"
        for each in found
        for node in each["nodes"][:3]
    ]


def test_no_view_breaks_a_rule_of_accessibility(open_page, daemon, populated):
    """By axe-core: roles, names, structure, and in both colour schemes contrast as it is really painted."""
    page = open_page(daemon.url, color_scheme="light")
    broken = []
    for path in populated:
        visit(page, daemon.url + path)
        broken += violations(page, path)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        expect(page.get_by_role("navigation", name="Views")).to_have_count(1)
        expect(page.locator("#nav [aria-current]")).to_have_count(0 if path == "/nowhere" else 1)
        page.emulate_media(color_scheme="dark")
        broken += violations(page, f"{path}, dark", runOnly=["color-contrast"])
        page.emulate_media(color_scheme="light")
    assert not broken, "\n".join(broken)


def luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


GROUNDS = ["paper", "card", "raised"]
PAIRS = [
    *[
        (ink, ground, 4.5)
        for ink in ("ink", "soft", "accent", "ok", "warn", "crit", "info", "grey")
        for ground in GROUNDS
    ],
    *[("ink", f"{tone}-wash", 4.5) for tone in ("ok", "warn", "crit", "info")],
    *[(tone, f"{tone}-wash", 4.5) for tone in ("ok", "warn", "crit", "info")],
    ("on-accent", "accent", 4.5),
    ("on-crit", "crit", 4.5),
    *[(line, ground, 3) for line in ("edge", "second") for ground in ("paper", "card")],
]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_pair_of_colours_has_the_contrast_that_it_needs(scheme):
    """WCAG 2.2, 1.4.3 and 1.4.11, computed over the tokens."""
    tokens = {
        name: values[scheme] for name, *values in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", TOKENS)
    }
    weak = [
        f"{one} on {other}: {contrast(tokens[one], tokens[other]):.2f} < {least}"
        for one, other, least in PAIRS
        if contrast(tokens[one], tokens[other]) < least
    ]
    assert not weak, weak


def test_nothing_is_wider_than_a_phone_a_desk_or_a_wall(open_page, daemon, client, populated):
    for name in HOSTILE:
        hostile = client.agent(name, description=name, tools=[name[:1024]], metadata={name: name})
        client.lease(name, hostile)
        client.Campaign(group=name, agent_id=hostile)
        client.SetPolicy(policy=dict(id=name, subject=name, action=name, resource=name, effect=1))
    page = open_page(daemon.url)
    wide = []
    for path in [
        *populated,
        f"/agents/{hostile}",
        "/leases/" + "x" * 1024,
        "/elections/" + "x" * 1024,
        "/policies/" + "x" * 1024,
    ]:
        visit(page, daemon.url + path)
        for width in (360, 760, 1280, 2560):
            page.set_viewport_size({"width": width, "height": 800})
            over = page.evaluate(
                "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(document.documentElement.scrollWidth - document.documentElement.clientWidth))))"
            )
            if over > 0:
                wide.append((path[:40], width, over))
    assert not wide


def test_on_a_phone_the_name_of_the_view_is_in_sight(open_page, daemon):
    """The names of all views are wider than that."""
    page = live(open_page(daemon.url, viewport={"width": 360, "height": 800}))
    for path in reversed(VIEWS):
        page.locator(f"#nav [href='{path}']").click()
        current = page.locator("#nav [aria-current=page]")
        expect(current).to_have_attribute("href", path)
        expect(current).to_be_in_viewport(ratio=1)
    visit(page, daemon.url + VIEWS[-1])
    expect(page.locator("#nav [aria-current=page]")).to_be_in_viewport(ratio=1)


def test_nothing_moves_when_something_needs_attention(open_page, daemon, client):
    """What stands above the list of it, and beside it in the navigation, stays where it is while it comes and goes."""
    anna = client.agent("anna")
    page = live(open_page(daemon.url))
    expect(page.locator(".calm")).to_be_visible()

    def places():
        return page.evaluate("""() => Object.fromEntries([...document.querySelectorAll('#nav a, .tile, .chart, .over-recent')]
            .map((each, index) => [index, each.getBoundingClientRect()]).map(([index, box]) => [index, [box.x, box.y, box.width]]))""")

    before = places()
    lease = client.lease("report-7", anna, ttl_seconds=600)
    client.CreateTask(type="paint", required_tools=["brush"])
    expect(page.locator(".attention")).to_contain_text("1 task that no living agent can do")
    expect(page.locator("#nav .nav-count")).to_contain_text("1")
    assert places() == before
    client.ReleaseLease(task_id="report-7", agent_id=anna, token=lease.token)
    client.agent("painter", tools=["brush"])
    expect(page.locator(".calm")).to_be_visible()
    assert places() == before


def test_both_colour_schemes_are_there_and_the_choice_is_remembered(open_page, daemon):
    def paper(page):
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    light = paper(live(open_page(daemon.url, color_scheme="light")))
    page = live(open_page(daemon.url, color_scheme="dark"))
    dark = paper(page)
    assert light != dark
    button = page.locator("#theme")
    button.click()
    expect(button).to_have_text("Light")
    assert paper(page) == light
    page.reload()
    expect(button).to_have_text("Light")
    assert paper(page) == light
    button.click()
    assert paper(page) == dark
    button.click()
    expect(button).to_have_text("Auto")


def test_those_who_want_less_motion_have_bars_that_step(open_page, daemon, client):
    client.lease("report-7", client.agent("anna"), ttl_seconds=100)
    page = live(open_page(f"{daemon.url}/leases", reduced_motion="reduce"))
    expect(row(page, "report-7")).to_have_count(1)
    scales = page.evaluate("""() => new Promise(done => {
        const seen = [];
        const bar = document.querySelector('.bar-fill');
        new MutationObserver(() => {
            seen.push(parseFloat(bar.style.transform.slice(7)));
            if (seen.length === 3) done(seen);
        }).observe(bar, { attributes: true });
    })""")
    # Each is a whole number of the lease's hundred seconds, where others see tenths.
    assert all(abs(scale * 100 - round(scale * 100)) < 0.001 for scale in scales), scales


def test_hostile_names_are_text_and_nothing_else(open_page, daemon, client):
    for name in HOSTILE:
        agent = client.agent(name, description=name, tools=[name])
        client.lease(name, agent)
        client.CreateTask(type=name, required_tools=[name])
    page = open_page(daemon.url)
    for path in VIEWS:
        visit(page, daemon.url + path)
        expect(page.locator("main img")).to_have_count(0)
        assert "owned" not in page.title()
        assert not page.evaluate("[...document.querySelectorAll('main a')].some(a => a.protocol !== 'http:')")
    page.goto(f"{daemon.url}/agents")
    expect(page.locator("#agents .name").first).to_have_text(HOSTILE[0])
    # A name that turns the writing direction keeps it to itself.
    expect(page.locator("#agents .name bdi").nth(1)).to_have_text(HOSTILE[1])


def test_times_are_in_the_readers_own_zone(open_page, daemon, client):
    client.agent("anna")
    shown = []
    for zone in ("Asia/Tokyo", "America/New_York"):
        page = live(open_page(f"{daemon.url}/log", timezone_id=zone, locale="en-GB"))
        time = row(page, "anna registered").locator("time")
        shown.append(time.inner_text())
        assert time.get_attribute("datetime").endswith("Z")
        assert time.get_attribute("title")
    hours = [int(text.split(":")[0][-2:]) for text in shown]
    assert (hours[0] - hours[1]) % 24 in (13, 14)
