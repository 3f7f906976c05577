"""What people and programs get to see."""

import json
import re
import subprocess
import unicodedata

import pytest

from golden_files import same
from keeper import BINARY, PATIENCE, pb
from shell import IDS, on_terminal, plain


@pytest.fixture
def world(client):
    """A small world with one of everything in it."""
    anna = client.agent("anna", description="Reads the web", tools=["browser", "shell"], metadata={"team": "x"})
    ben = client.agent("ben", tools=["browser"])
    client.Deregister(agent_id=client.agent("gone"))
    client.lease("report-7", anna, ttl_seconds=604_800)
    client.Campaign(group="planners", agent_id=anna)
    client.Campaign(group="planners", agent_id=ben)
    for id, effect, resource in (("browse", pb.POLICY_EFFECT_ALLOW, "tool:*"), ("no-shell", 2, "tool:shell")):
        client.SetPolicy(policy=dict(id=id, subject="agent:*", action="call", resource=resource, effect=effect))
    client.CreateTask(type="summarize", input=b"hello", required_tools=["browser"], max_retries=2, ttl_seconds=604_800)
    client.CreateTask(type="translate", input=b"\xff\x00")
    client.ClaimTask(agent_id=ben)
    return dict(anna=anna, ben=ben)


LISTS = [["agents", "list"], ["agents", "list", "--all"], ["leases", "list"], ["elections", "list"]]
LISTS += [["policies", "list"], ["tasks", "list"], ["find", "web"]]
SHOWN = [["agents", "show", "anna"], ["leases", "show", "report-7"], ["elections", "show", "planners"]]
OTHERS = [["status"], ["watch", "--after", "0", "--no-follow"], ["check", "agent:anna", "call", "tool:browser"]]


def test_every_table_is_as_it_was(shell, world):
    text = ""
    for command in LISTS + SHOWN + OTHERS:
        shown = plain(shell.run(*command))
        assert all(not line.endswith(" ") for line in shown.splitlines()), shown
        text += f"$ agentkeeper {' '.join(command)}\n{shown}\n"
    same("tables", text)


@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_columns_begin_under_their_headings_or_end_under_them(shell, world, command):
    heading, *rows = shell.run(*command).splitlines()
    starts = [match.span() for match in re.finditer(r"\S+", heading)]
    for row in rows:
        for start, end in starts:
            cell = row[start:end]
            isText = row[start - 1 : start] in ("", " ") and cell[:1] != " "
            isNumber = row[end : end + 1] in ("", " ") and cell[-1:] != " "
            assert isText or isNumber or not cell.strip(), row


def test_every_json_document_is_as_it_was(shell, world):
    text = ""
    for command in LISTS + SHOWN + OTHERS[:1] + OTHERS[2:]:
        shown = shell.run(*command, "-o", "json")
        json.loads(shown)
        text += f"$ agentkeeper {' '.join(command)} -o json\n{plain(shown)}\n"
    same("json", text)


def test_an_empty_list_is_a_heading_and_an_empty_array(shell):
    assert shell.run("leases", "list").split() == "TASK HOLDER TOKEN LEFT TTL KIND WAITING".split()
    assert shell.json("leases", "list") == []


def test_bytes_that_are_no_text_are_base64_in_json_and_themselves_on_request(shell, world):
    task = shell.json("tasks", "list")[1]
    assert task["input_base64"] == "/wA=" and "input" not in task
    done = shell.outcome("tasks", "show", task["id"], "-o", "json")
    assert json.loads(done.stdout)["input_base64"] == "/wA="
    raw = subprocess.run([BINARY, "tasks", "show", task["id"], "--input-only"], capture_output=True, env=shell.environment)
    assert raw.stdout == b"\xff\x00"


def test_a_long_list_is_read_in_pages_and_shown_whole(shell, client):
    agent = client.agent()
    for call in [client.AcquireLease.future(task_id=f"t{n}", agent_id=agent, ttl_seconds=600) for n in range(2_500)]:
        call.result()
    assert [each["task_id"] for each in shell.json("leases", "list")] == [f"t{n}" for n in range(2_500)]
    assert len(shell.run("leases", "list").splitlines()) == 2_501
    assert len(shell.json("leases", "list", "--limit", 1_200)) == 1_200
    assert [each["task_id"] for each in shell.json("leases", "list", "--prefix", "t249")][0] == "t249"


def test_colour_is_for_terminals_and_for_those_who_force_it(shell, world):
    assert "\x1b" not in shell.run("agents", "list")
    assert "\x1b[32mALIVE" in on_terminal(shell, "agents", "list", columns=200)
    assert "\x1b" not in on_terminal(shell, "agents", "list", NO_COLOR="1")
    assert "\x1b" not in on_terminal(shell, "agents", "list", TERM="dumb")
    assert "\x1b" in on_terminal(shell, "agents", "list", NO_COLOR="")
    assert "\x1b[32mALIVE" in shell.run("agents", "list", environment=dict(CLICOLOR_FORCE="1"))
    assert "\x1b" not in shell.run("agents", "list", environment=dict(CLICOLOR_FORCE="1", NO_COLOR="1"))
    assert "\x1b" not in on_terminal(shell, "agents", "list", "-o", "json")


def test_a_table_fits_a_narrow_terminal_and_never_cuts_an_id(shell, client):
    agent = client.agent("a-name-that-goes-on-and-on-for-ever", tools=["one-tool", "another-tool", "a-third"])
    shown = on_terminal(shell, "agents", "list", columns=90, NO_COLOR="1")
    assert all(len(line) <= 90 for line in shown.splitlines()), shown
    assert agent in shown and "…" in shown
    narrow = on_terminal(shell, "agents", "list", columns=30, NO_COLOR="1")
    assert agent in narrow
    # A program gets everything.
    assert "a-name-that-goes-on-and-on-for-ever" in shell.run("agents", "list")


def test_columns_line_up_whatever_the_names_are_written_in(shell, client):
    for name in ("plain", "日本語", "e\u0301t\u00e9", "🙂"):
        client.agent(name)
    lines = shell.run("agents", "list").splitlines()
    def width(text):
        return sum(
            0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
        )

    assert len({width(line[: line.index("ALIVE")]) for line in lines[1:]}) == 1
    assert width(lines[0][: lines[0].index("STATUS")]) == width(lines[1][: lines[1].index("ALIVE")])


NASTY = "\x1b[31mred\x07\r\n\u202eevil\x9b2J"


def test_a_name_cannot_speak_to_the_terminal(shell, client):
    agent = client.agent(NASTY, description=NASTY, tools=[NASTY], metadata={NASTY: NASTY})
    client.lease(NASTY, agent)
    client.Campaign(group=NASTY, agent_id=agent)
    client.SetPolicy(policy=dict(id=NASTY, subject=NASTY, action=NASTY, resource=NASTY, effect=1))
    task = client.CreateTask(type=NASTY, input=NASTY.encode()).task.id
    commands = LISTS + [["agents", "show", agent], ["leases", "show", NASTY], ["elections", "show", NASTY]]
    commands += [["tasks", "show", task], ["watch", "--after", "0", "--no-follow"], ["status"]]
    for command in commands:
        for options in ([], ["-o", "json"]):
            shown = shell.run(*command, *options)
            assert not [each for each in shown if each != "\n" and (ord(each) < 32 or 127 <= ord(each) < 160)]
    for command in commands:
        assert "\u202e" not in shell.run(*command)
    refusal = shell.refusal("leases", "show", NASTY + "x", status=1)
    assert "\x1b" not in refusal and "\r" not in refusal


def test_nobody_reading_any_more_ends_it_quietly(shell, client):
    agent = client.agent()
    for call in [client.AcquireLease.future(task_id=f"t{n}", agent_id=agent, ttl_seconds=600) for n in range(3_000)]:
        call.result()
    for options in ("", "-o json"):
        script = f"{BINARY} leases list {options} | head -1; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=shell.environment)
        assert done.stderr == "" and done.stdout.splitlines()[-1] in ("0", "141")
    script = f"{BINARY} watch --after 0 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=shell.environment, timeout=PATIENCE)
    assert done.stderr == "" and done.stdout.splitlines()[-1] == "141"


def test_a_full_disk_is_told(shell, world):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "agents", "list"], stdout=full, stderr=subprocess.PIPE, text=True, env=shell.environment)
    assert done.returncode == 1 and "No space left" in done.stderr and done.stderr.count("\n") == 1


def test_ids_are_told_alone_where_a_script_takes_them(shell):
    assert IDS.fullmatch(shell.run("agents", "register", "script", "--ttl", "1h").strip())
    assert IDS.fullmatch(shell.run("tasks", "create", "work").strip())
