"""What a stranger reads."""

import pytest

from golden_files import same

COMMANDS = {
    "serve": [],
    "lock": [],
    "elect": [],
    "agents": ["list", "show", "register", "heartbeat", "deregister"],
    "leases": ["list", "show", "acquire", "renew", "release"],
    "elections": ["list", "show", "campaign", "resign"],
    "policies": ["list", "set", "delete", "check"],
    "tasks": ["list", "show", "create", "claim", "complete", "fail"],
    "watch": [],
    "find": [],
    "check": [],
    "status": [],
    "health": [],
    "bench": [],
}
PATHS = [[command, *verb] for command, verbs in COMMANDS.items() for verb in [[], *([each] for each in verbs)]]
EIGHTY = dict(COLUMNS="80")


@pytest.fixture
def shell():
    from shell import Shell

    return Shell(None)


def test_the_help_of_every_command_is_as_it_was(shell):
    text = ""
    for path in [[], *PATHS]:
        text += f"$ agentkeeper {' '.join([*path, '--help'])}\n{shell.run(*path, '--help', environment=EIGHTY)}\n"
    same("help", text)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_tells_every_flag_in_words_and_where_the_daemon_is(shell, path):
    text = shell.run(*path, "--help", environment=EIGHTY)
    assert "--help" in text and text == shell.run("help", *path, environment=EIGHTY)
    if path[0] != "serve" and (len(path) > 1 or not COMMANDS[path[0]]):
        assert "--addr" in text and "AGENTKEEPER_ADDR" in text
    for line in text.splitlines():
        assert line.startswith("USAGE:") or "agentkeeper " in line or len(line) <= 80, line


def test_the_exit_statuses_are_told(shell):
    text = shell.run("--help")
    for status in ("0 done", "64", "69", "75", "76", "77", "126", "127"):
        assert status in text


def test_a_command_that_is_none_is_told_with_where_to_read_more(shell):
    assert "--help" in shell.refusal("agnets", status=64)
    assert "agentkeeper agents list --help" in shell.refusal("agents", "list", "--nothing", status=64)
    assert "agentkeeper lock --help" in shell.refusal("lock", "task", "true", status=64)
