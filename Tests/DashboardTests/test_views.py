"""Each view shows what agents really did, at an address of its own, and names lead to what they name."""

import re

import pytest
from agentkeeper import AgentKeeperClient
from conftest import VIEWS, live, row
from playwright.sync_api import expect


@pytest.fixture
def sdk(daemon):
    with AgentKeeperClient("127.0.0.1", daemon.port) as client:
        yield client


def fact(page, name):
    return page.locator(".facts > div").filter(has=page.get_by_text(name, exact=True)).locator("dd")


def test_every_view_has_an_address_of_its_own(open_page, daemon):
    page = open_page(daemon.url)
    for path in VIEWS:
        page.goto(daemon.url + path)
        live(page)
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator("#nav [aria-current=page]")).to_have_attribute("href", path)


def test_a_daemon_without_agents_says_how_to_register_the_first(page, daemon):
    expect(page.get_by_text("No agent has registered yet")).to_be_visible()
    expect(page.locator(".command").first).to_contain_text(
        f"agentkeeper agents register anna --tool browser --ttl 1h --addr 127.0.0.1:{daemon.port}"
    )


@pytest.mark.parametrize(
    "path, says",
    [
        ("/agents", "agentkeeper agents register"),
        ("/leases", "agentkeeper lock"),
        ("/elections", "agentkeeper elect"),
        ("/tasks", "agentkeeper tasks create"),
        ("/policies", "agentkeeper policies set"),
        ("/watchers", "agentkeeper watch"),
        ("/log", "from now on"),
    ],
)
def test_an_empty_list_says_what_to_do(open_page, daemon, path, says):
    expect(open_page(daemon.url + path).locator("main")).to_contain_text(says)


def test_the_overview_counts_and_names_what_needs_attention(page, daemon, client):
    client.agent("anna", tools=["browser"])
    client.CreateTask(type="paint", required_tools=["brush"])
    failing = client.CreateTask(type="doomed", required_tools=["browser"]).task.id
    worker = client.agent("worker", tools=["browser"])
    client.ClaimTask(agent_id=worker)
    client.FailTask(task_id=failing, agent_id=worker, reason="no such page")
    attention = page.locator(".attention")
    expect(attention).to_contain_text("1 task that no living agent can do")
    expect(attention).to_contain_text("1 task that failed for good")
    expect(attention).to_contain_text("no such page")
    expect(page.locator(".tile").filter(has_text="Failed for good").locator(".tile-value")).to_have_text("1")
    for ttl in (1, 4, 16):  # it is unreachable for as long as its ttl, which may be over before a busy machine shows it
        silent = client.agent("silent", ttl=ttl)
        try:
            expect(attention).to_contain_text("1 unreachable agent", timeout=(2 * ttl + 1) * 1000)
            link = attention.get_by_role("link", name="silent")
            expect(link).to_have_attribute("href", f"/agents/{silent}", timeout=ttl * 1000)
            expect(page.locator("#nav .nav-count")).to_contain_text("2", timeout=ttl * 1000)
            break
        except AssertionError:
            if ttl == 16:
                raise


def test_the_overview_draws_the_last_minutes(page, client):
    client.agent("anna")
    expect(page.locator(".chart")).to_have_count(3)
    expect(page.locator(".chart").first.locator("path.line").first).to_have_attribute("d", re.compile("M.*L"))
    expect(page.locator(".plot").first).to_have_attribute(
        "aria-label", re.compile(r"Calls a second, the last 5 minutes: calls now")
    )


def test_an_agent_leads_to_what_it_holds_and_leads(page, daemon, sdk):
    with sdk.register("anna", "Reads pages", "1.4.0", tools=["browser"], metadata={"zone": "a"}) as anna:
        sdk.acquire_lease("report-7", anna.agent_id, ttl=60)
        sdk.campaign("planners", anna.agent_id)
        page.goto(f"{daemon.url}/agents")
        shown = row(page, "anna")
        expect(shown).to_contain_text("alive")
        expect(shown).to_contain_text("browser")
        shown.get_by_role("link", name="anna").click()
        expect(page).to_have_url(f"{daemon.url}/agents/{anna.agent_id}")
        expect(page.locator("h1")).to_have_text("anna")
        expect(fact(page, "zone")).to_have_text("a")
        expect(page.get_by_text("leads, term 1")).to_be_visible()
        expect(page.locator(".history")).to_contain_text("anna holds report-7 for 1 min")
        row(page, "report-7").get_by_role("link", name="report-7").click()
        expect(page).to_have_url(f"{daemon.url}/leases/report-7")
        page.get_by_role("link", name="Its events").click()
        expect(row(page, "anna holds report-7")).to_have_count(1)
        page.go_back()
        expect(fact(page, "Holder")).to_have_text("anna")


def test_searching_agents_ranks_as_find_does(open_page, daemon, client):
    for number in range(5):
        client.agent(f"filler-{number}", description="sweeps the floor")
    client.agent("reader", description="browses the web", tools=["browser"])
    found = [agent.card.name for agent in client.Find(query="browsing").agents]
    page = open_page(f"{daemon.url}/agents")
    page.get_by_label("Find").fill("browsing")
    expect(page).to_have_url(f"{daemon.url}/agents?query=browsing")
    expect(page.get_by_text("as Find ranks them")).to_be_visible()
    expect(page.locator("#agents .table-body .name")).to_have_text(found)
    assert found[0] == "reader"


def test_agents_are_filtered_by_status_and_tool(open_page, daemon, client):
    client.agent("anna", tools=["browser"])
    gone = client.agent("gone")
    client.Deregister(agent_id=gone)
    page = open_page(f"{daemon.url}/agents?status=dead")
    expect(page.locator("#agents .table-body .name")).to_have_text(["gone"])
    page.get_by_role("group", name="Status").get_by_role("link", name="All").click()
    expect(page.locator("#agents .table-body .row")).to_have_count(2)
    page.get_by_label("Tool").fill("browser")
    expect(page.locator("#agents .table-body .name")).to_have_text(["anna"])
    page.reload()
    expect(page.get_by_label("Tool")).to_have_value("browser")
    expect(page.locator("#agents .table-body .name")).to_have_text(["anna"])


def test_a_lease_shows_who_waits_for_it_in_line(open_page, daemon, client):
    holder, first, second = (client.agent(name) for name in ("holder", "first", "second"))
    lease = client.lease("report-7", holder, ttl_seconds=600)
    page = open_page(f"{daemon.url}/leases/report-7")
    calls = []
    for waiter, place in ((first, 1), (second, 2)):
        calls.append(client.AcquireLease.future(task_id="report-7", agent_id=waiter, wait_ms=60000))
        expect(page.locator(".queue > li")).to_have_count(place)
    expect(page.locator(".queue .name")).to_have_text(["first", "second"])
    expect(fact(page, "Fencing token")).to_have_text(str(lease.token.value))
    client.ReleaseLease(task_id="report-7", agent_id=holder, token=lease.token)
    expect(fact(page, "Holder")).to_have_text("first")
    for call in calls:
        call.cancel()


def test_a_lease_that_is_over_still_tells_its_history(open_page, daemon, client):
    holder = client.agent("holder")
    lease = client.lease("report-7", holder)
    client.ReleaseLease(task_id="report-7", agent_id=holder, token=lease.token)
    page = open_page(f"{daemon.url}/leases/report-7")
    expect(page.get_by_text("Nobody holds this now.")).to_be_visible()
    expect(page.locator(".history")).to_contain_text("holder released report-7")


def test_an_election_shows_its_candidates_in_order_and_its_changes(open_page, daemon, client):
    ids = {name: client.agent(name) for name in ("anna", "ben", "clara")}
    for agent in ids.values():
        client.Campaign(group="planners", agent_id=agent)
    page = open_page(f"{daemon.url}/elections")
    row(page, "planners").get_by_role("link", name="planners").click()
    expect(page.locator(".queue .name")).to_have_text(["anna", "ben", "clara"])
    client.Resign(group="planners", agent_id=ids["anna"])
    expect(page.locator(".queue .name")).to_have_text(["ben", "clara"])
    expect(fact(page, "Leader")).to_have_text("ben")
    expect(page.locator(".history > li")).to_contain_text(
        ["ben leads planners, term 2 (the leader resigned)", "anna leads planners, term 1 (a candidate came)"]
    )


def test_a_task_shows_its_whole_history(open_page, daemon, sdk):
    worker = sdk.register("worker", "", "1", tools=["browser"])
    task = sdk.create_task("crawl", required_tools=["browser"], max_retries=2)
    for reason in ("first", "second"):
        sdk.claim_task(worker.agent_id)
        sdk.fail_task(task.id, worker.agent_id, reason)
    sdk.claim_task(worker.agent_id)
    sdk.complete_task(task.id, worker.agent_id, b"done")
    page = open_page(f"{daemon.url}/tasks?status=completed")
    row(page, "crawl").get_by_role("link").first.click()
    expect(page).to_have_url(f"{daemon.url}/tasks/{task.id}")
    short = task.id[:8]
    expect(page.locator(".history > li")).to_contain_text(
        [
            f"worker completed crawl {short}",
            f"worker works on crawl {short}",
            f"worker failed at crawl {short}: second",
            f"worker works on crawl {short}",
            f"worker failed at crawl {short}: first",
            f"worker works on crawl {short}",
            f"crawl {short} queued",
        ]
    )
    expect(fact(page, "Retries")).to_have_text("2 of 2 spent")
    worker.deregister()


def test_the_tasks_begin_with_what_is_open_and_the_finished_ones_with_the_last(open_page, daemon, client):
    worker = client.agent("worker", tools=["browser"])
    ids = {}

    def create(name, **card):
        ids[name] = client.CreateTask(type=name, required_tools=["browser"], **card).task.id

    for name in ("done-first", "done-last", "broken-first", "broken-last", "busy"):
        create(name)
        client.ClaimTask(agent_id=worker)
    for name in ("done-first", "done-last"):
        client.CompleteTask(task_id=ids[name], agent_id=worker)
    for name in ("broken-first", "broken-last"):
        client.FailTask(task_id=ids[name], agent_id=worker, reason=f"why {name}")
    create("waiting-long")
    create("waiting")
    page = live(open_page(f"{daemon.url}/tasks"))
    types = page.locator("#tasks .table-body .type")
    expect(types).to_have_text(["busy", "waiting-long", "waiting"])
    expect(page.locator(".pager")).to_have_text("3 open tasks, oldest first")
    tabs = page.get_by_role("group", name="Status").get_by_role("link")
    expect(tabs).to_have_text(["Open3", "Pending2", "Claimed1", "Dead2", "Completed2", "All7"])
    for name, expected in [
        ("Dead", ["broken-last", "broken-first"]),
        ("Completed", ["done-last", "done-first"]),
        ("All", ["done-first", "done-last", "broken-first", "broken-last", "busy", "waiting-long", "waiting"]),
        ("Pending", ["waiting-long", "waiting"]),
        ("Claimed", ["busy"]),
    ]:
        tabs.filter(has_text=name).click()
        expect(types).to_have_text(expected)
        expect(page.locator("#nav [aria-current=page]")).to_have_text("Tasks")
    tabs.filter(has_text="Dead").click()
    expect(row(page, "broken-last")).to_contain_text("why broken-last")
    # What is finished leaves the open ones by itself, and is found where it went.
    tabs.filter(has_text="Open").click()
    client.CompleteTask(task_id=ids["busy"], agent_id=worker)
    expect(types).to_have_text(["waiting-long", "waiting"])
    tabs.filter(has_text="Completed").click()
    expect(types).to_have_text(["busy", "done-last", "done-first"])
    # Of one type there is nothing open, but something.
    page.goto(f"{daemon.url}/tasks?type=busy")
    expect(page.locator("main")).to_contain_text("No such task is of this type.")
    page.get_by_role("link", name="Look in all 7 tasks").click()
    expect(types).to_have_text(["busy"])


def test_a_task_that_came_back_often_says_so_in_each_place(open_page, daemon, client):
    worker = client.agent("worker", tools=["browser"])
    task = client.CreateTask(type="crawl", required_tools=["browser"], max_retries=9).task.id
    for number in range(5):
        client.ClaimTask(agent_id=worker)
        client.FailTask(task_id=task, agent_id=worker, reason=f"reason {number}")
    page = live(open_page(daemon.url))
    attention = page.locator(".attention > li").filter(has_text="1 task that keeps coming back")
    expect(attention).to_contain_text("5 returns, failed")
    attention.get_by_role("link", name=task[:8]).click()
    expect(fact(page, "Retries")).to_have_text("5 of 9 spent")
    expect(fact(page, "Last failure")).to_have_text("reason 4")
    expect(page.locator(".history > li").filter(has_text="failed at")).to_have_count(5)
    page.goto(f"{daemon.url}/tasks")
    expect(row(page, "crawl")).to_contain_text("5 of 9")


def test_wildcards_and_colons_in_policies_stay_what_they_are(open_page, daemon, client):
    client.SetPolicy(policy=dict(id="all/*", subject="agent:*", action="*", resource="tool:*:read*", effect=1))
    page = live(open_page(f"{daemon.url}/policies?subject=agent:a%26b&action=call&resource=tool:x:reader"))
    expect(page.locator(".verdict")).to_contain_text("Yes.")
    row(page, "all/*").get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text("all/*")
    expect(fact(page, "Resource")).to_have_text("tool:*:read*")
    # Asking about the policy's own patterns takes them as texts.
    page.get_by_role("link", name="Ask about it").click()
    expect(page.get_by_label("Resource", exact=True)).to_have_value("tool:*:read*")
    expect(page.locator(".verdict")).to_contain_text("Yes.")


def test_a_pending_task_says_who_could_do_it(open_page, daemon, client):
    task = client.CreateTask(type="paint", required_tools=["brush"]).task.id
    page = open_page(f"{daemon.url}/tasks/{task}")
    expect(fact(page, "Could be done by")).to_have_text("no living agent has all its tools")
    client.agent("painter", tools=["brush"])
    expect(fact(page, "Could be done by")).to_have_text("1 agent")


def test_the_policies_answer_who_may_what_and_the_answer_is_an_address(open_page, daemon, client):
    client.SetPolicy(policy=dict(id="browse", subject="agent:*", action="call", resource="tool:*", effect=1))
    client.SetPolicy(policy=dict(id="no-mail", subject="agent:ben", action="call", resource="tool:email", effect=2))
    page = open_page(f"{daemon.url}/policies")
    expect(page.locator("#policies .table-body .name")).to_have_text(["browse", "no-mail"])
    for label, text in (("Subject", "agent:ben"), ("Action", "call"), ("Resource", "tool:email")):
        page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Enter")
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text('No. denied by policy "no-mail"')
    expect(verdict.get_by_role("link")).to_have_attribute("href", "/policies/no-mail")
    client.DeletePolicy(id="no-mail")
    expect(verdict).to_contain_text('Yes. allowed by policy "browse"')
    page.reload()
    expect(page.get_by_label("Subject", exact=True)).to_have_value("agent:ben")
    expect(verdict).to_contain_text("Yes.")


def test_the_log_is_filtered_by_topic_and_jumps_to_a_sequence(open_page, daemon, client):
    anna = client.agent("anna")
    for number in range(300):
        lease = client.lease(f"task-{number}", anna)
        client.ReleaseLease(task_id=f"task-{number}", agent_id=anna, token=lease.token)
    page = open_page(f"{daemon.url}/log?topic=lease.released")
    expect(row(page, "task-299")).to_have_count(1)
    expect(page.locator("#log .topic-name").filter(has_not_text="lease.released")).to_have_count(0)
    page.goto(f"{daemon.url}/log")
    page.get_by_placeholder("Sequence").fill("100")
    page.get_by_role("button", name="Jump").click()
    expect(page).to_have_url(f"{daemon.url}/log?at=100")
    expect(page.locator("#log .row[aria-current]")).to_be_in_viewport()
    expect(page.locator(".event-panel")).to_contain_text("Event 100")
    expect(page.locator(".log-state")).to_contain_text("Paused")


@pytest.mark.parametrize(
    "at, says",
    [
        (3, "It is no longer kept: the oldest event that is has the sequence 21."),
        (9_999, "It has not happened yet: the last event has the sequence 120."),
        (100, "It is left out by the filters."),
    ],
)
def test_a_jump_to_what_is_not_there_says_why(open_page, start, at, says):
    daemon = start("--event-history=100")
    client = daemon.client()
    for number in range(120):
        client.agent(f"agent-{number}")
    page = live(open_page(f"{daemon.url}/log?at={at}" + ("&topic=lease." if "filters" in says else "")))
    expect(page.locator(".event-panel")).to_contain_text(says)


def test_what_does_not_exist_is_said_so(open_page, daemon, client):
    client.agent("anna")
    page = open_page(daemon.url)
    for path, says in [
        ("/agents/nope", "There is no such agent."),
        ("/tasks/nope", "There is no such task"),
        ("/elections/nope", "no such election"),
        ("/policies/nope", "no such policy"),
        ("/leases/nope", "Nobody holds this now."),
    ]:
        page.goto(daemon.url + path)
        expect(page.locator("main")).to_contain_text(says)


def test_names_with_slashes_and_dots_have_addresses_too(open_page, daemon, client):
    anna = client.agent("anna")
    page = open_page(daemon.url)
    for name in ("a/b c?d#e%2F", "..", "ü"):
        client.lease(name, anna)
        page.goto(f"{daemon.url}/leases")
        row(page, name).get_by_role("link").first.click()
        expect(page.locator("h1")).to_have_text(name)
        page.reload()
        expect(page.locator("h1")).to_have_text(name)
        expect(fact(page, "Holder")).to_have_text("anna")
