"""Acting from the page: refused unless the daemon was started for it, and from anywhere but the page itself."""

import http.client
import json

import pytest
from conftest import live, row
from keeper import PATIENCE, payload
from playwright.sync_api import expect


@pytest.fixture
def daemon(start):
    return start("--dashboard-actions")


def session(daemon):
    return json.loads(ask(daemon, "GET", "/api/v1/session")[1])


def ask(daemon, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.metrics_port, timeout=PATIENCE)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    reply = connection.getresponse()
    answer = reply.status, reply.read()
    connection.close()
    return answer


def act(daemon, name, body, **headers):
    """As a browser would from the page itself, unless a header says otherwise; `None` leaves one out."""
    sent = {
        "content_type": "application/json",
        "origin": daemon.url,
        "x_agentkeeper_token": session(daemon)["token"] or "",
    } | headers
    status, text = ask(
        daemon,
        "POST",
        f"/api/v1/actions/{name}",
        json.dumps(body),
        **{key: value for key, value in sent.items() if value is not None},
    )
    return status, json.loads(text)


ACTIONS = ["release-lease", "deregister-agent", "requeue-task", "delete-policy"]


@pytest.mark.parametrize("name", ACTIONS)
def test_a_daemon_that_was_not_started_for_it_refuses(start, name):
    daemon = start()
    assert session(daemon) == {"actions": False, "token": None}
    anna = daemon.client().agent("anna")
    status, answer = act(daemon, name, {"agent_id": anna, "task_id": "t", "token": 1, "id": "p"})
    assert status == 403 and "--dashboard-actions" in answer["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"x_agentkeeper_token": "0" * 32},
        {"x_agentkeeper_token": None},
    ],
    ids=str,
)
def test_a_request_from_elsewhere_or_without_the_token_changes_nothing(daemon, client, headers):
    anna = client.agent("anna")
    status, answer = act(daemon, "deregister-agent", {"agent_id": anna}, **headers)
    assert status == 403, answer
    assert client.GetAgent(agent_id=anna).agent.status == 1  # ALIVE


def test_a_form_of_another_site_could_not_send_it(daemon, client):
    """Without a question to the daemon before, browsers only send the content types of forms across sites."""
    anna = client.agent("anna")
    for content_type in ("text/plain", "application/x-www-form-urlencoded", None):
        status, _ = act(daemon, "deregister-agent", {"agent_id": anna}, content_type=content_type)
        assert 400 <= status < 500
    assert client.GetAgent(agent_id=anna).agent.status == 1  # ALIVE


def test_without_the_flag_the_page_has_no_buttons_for_it(open_page, start):
    daemon = start()
    client = daemon.client()
    client.lease("report-7", client.agent("anna"))
    page = live(open_page(f"{daemon.url}/leases"))
    expect(row(page, "report-7")).to_have_count(1)
    expect(page.get_by_role("button", name="Release")).to_have_count(0)


def confirm(page, button, *says):
    page.get_by_role("button", name=f"{button}…").first.click()
    dialog = page.get_by_role("dialog")
    for text in says:
        expect(dialog).to_contain_text(text)
    return dialog


def events(client, topic):
    call = client.WatchEvents(topics=[topic], after_sequence=0)
    event = next(iter(call))
    call.cancel()
    return event


def test_a_lease_is_released_by_force_after_a_question(open_page, daemon, client):
    client.lease("report-7", client.agent("anna"), ttl_seconds=600)
    page = live(open_page(f"{daemon.url}/leases/report-7"))
    dialog = confirm(page, "Release", "anna", "report-7", "the next in line can have it")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Release…")).to_be_focused()
    confirm(page, "Release").get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("Nobody holds this now.")).to_be_visible()
    expect(page.locator(".history")).to_contain_text("anna lost report-7 (forced by an operator)")
    assert payload(events(client, "lease.expired")).task_id == "report-7"


def test_an_agent_is_deregistered_after_a_question(open_page, daemon, client):
    anna = client.agent("anna")
    page = live(open_page(f"{daemon.url}/agents/{anna}"))
    confirm(page, "Deregister", "anna", "It cannot come back").get_by_role(
        "button", name="Deregister", exact=True
    ).click()
    expect(page.locator(".heading .badge")).to_have_text("dead")
    expect(page.locator(".history")).to_contain_text("anna died (forced by an operator)")
    expect(page.get_by_role("button", name="Deregister…")).to_have_count(0)


def test_a_task_is_requeued_after_a_question(open_page, daemon, client):
    worker = client.agent("worker")
    task = client.CreateTask(type="crawl").task.id
    client.ClaimTask(agent_id=worker)
    client.FailTask(task_id=task, agent_id=worker, reason="no luck")
    page = live(open_page(f"{daemon.url}/tasks/{task}"))
    confirm(page, "Requeue", "crawl", "all its retries given back").get_by_role(
        "button", name="Requeue", exact=True
    ).click()
    expect(page.locator(".heading .badge")).to_have_text("pending")
    expect(page.locator(".history")).to_contain_text("is back in the queue (forced by an operator)")


def test_a_policy_is_deleted_after_a_question(open_page, daemon, client):
    client.SetPolicy(policy=dict(id="no-mail", subject="agent:ben", action="call", resource="tool:email", effect=2))
    page = live(open_page(f"{daemon.url}/policies"))
    confirm(page, "Delete", "no-mail", "no longer denies").get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#policies")).to_have_count(0)
    assert not client.ListPolicies().policies


def test_on_a_phone_a_row_is_one_target_and_leads_to_what_can_be_done(open_page, daemon, client):
    anna = client.agent("anna", tools=["browser"])
    client.lease("report-7", anna, ttl_seconds=600)
    task = client.CreateTask(type="crawl").task.id
    client.ClaimTask(agent_id=anna)
    client.SetPolicy(policy=dict(id="no-mail", subject="agent:ben", action="call", resource="tool:email", effect=2))
    page = open_page(daemon.url, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    for path, text, button, to in [
        ("/agents", "anna", "Deregister…", f"/agents/{anna}"),
        ("/leases", "report-7", "Release…", "/leases/report-7"),
        ("/tasks", "crawl", "Requeue…", f"/tasks/{task}"),
        ("/policies", "no-mail", "Delete…", "/policies/no-mail"),
    ]:
        for place in (0.05, 0.5, 0.97):
            page.goto(daemon.url + path)
            line = row(page, text)
            box = line.bounding_box()
            assert box["height"] >= 44
            # Wherever it is touched, in its second line too.
            page.touchscreen.tap(box["x"] + place * box["width"], box["y"] + 0.75 * box["height"])
            expect(page).to_have_url(daemon.url + to)
        act = page.get_by_role("button", name=button).first
        expect(act).to_be_in_viewport()
        assert act.bounding_box()["height"] >= 36


@pytest.mark.refusal
def test_what_came_too_late_is_told_in_the_dialog(open_page, daemon, client):
    anna = client.agent("anna")
    lease = client.lease("report-7", anna, ttl_seconds=600)
    page = live(open_page(f"{daemon.url}/leases/report-7"))
    dialog = confirm(page, "Release")
    client.ReleaseLease(task_id="report-7", agent_id=anna, token=lease.token)
    client.lease("report-7", client.agent("ben"), ttl_seconds=600)
    dialog.get_by_role("button", name="Release", exact=True).click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    expect(dialog.get_by_role("button", name="Release", exact=True)).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator(".facts")).to_contain_text("ben")


@pytest.mark.outage
@pytest.mark.refusal
def test_the_token_of_a_daemon_that_is_gone_is_renewed(open_page, start, tmp_path):
    daemon = start("--dashboard-actions", "--data-dir", tmp_path / "data")
    client = daemon.client()
    client.lease("report-7", client.agent("anna"), ttl_seconds=600)
    page = live(open_page(f"{daemon.url}/leases/report-7"))
    expect(page.get_by_role("button", name="Release…")).to_be_visible()
    daemon.stop()
    expect(page.locator("#connection")).to_have_text("Stale")
    start("--dashboard-actions", "--data-dir", tmp_path / "data", ports=(daemon.port, daemon.metrics_port))
    live(page)
    confirm(page, "Release").get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("Nobody holds this now.")).to_be_visible()
