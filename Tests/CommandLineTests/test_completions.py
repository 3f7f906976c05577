"""Completions, as the shells themselves compute them."""

import shutil
import subprocess

import pytest

from keeper import PATIENCE
from shell import Shell


@pytest.fixture
def shell():
    return Shell(None)


def script(shell, name, directory):
    path = directory / f"agentkeeper.{name}"
    path.write_text(shell.run("--generate-completion-script", name))
    return path


def bash(shell, directory, words):
    """What bash offers for the last of these words."""
    path = script(shell, "bash", directory)
    quoted = " ".join(f"'{word}'" for word in words)
    lines = f"""
        source {path}
        COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE='{" ".join(words)}'; COMP_POINT=${{#COMP_LINE}}
        $(complete -p agentkeeper | sed 's/.*-F \\([^ ]*\\).*/\\1/') agentkeeper '{words[-1]}' '{words[-2]}'
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, env=shell.environment, timeout=PATIENCE)
    assert done.stderr == "", done.stderr
    return {line.strip() for line in done.stdout.splitlines()}


def fish(shell, directory, words):
    path = script(shell, "fish", directory)
    line = " ".join(words)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"],
        capture_output=True, text=True, env=shell.environment | {"HOME": str(directory)}, timeout=PATIENCE,
    )
    assert done.stderr == "", done.stderr
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


CASES = [
    (["agentkeeper", "ele"], {"elect", "elections"}, {"agents"}),
    (["agentkeeper", "agents", ""], {"list", "show", "register", "deregister"}, {"leases"}),
    (["agentkeeper", "leases", "acquire", "t", "--w"], {"--wait"}, {"--ttl"}),
    (["agentkeeper", "tasks", "list", "--status", ""], {"pending", "claimed", "completed", "dead"}, {"--limit"}),
    (["agentkeeper", "policies", "list", "-o", ""], {"table", "json"}, {"--limit"}),
    (["agentkeeper", "serve", "--metr"], {"--metrics-addr"}, {"--addr"}),
]


@pytest.mark.parametrize(("words", "offered", "not_offered"), CASES, ids=lambda each: " ".join(each))
@pytest.mark.parametrize("complete", [bash, fish])
def test_what_is_offered(shell, tmp_path, complete, words, offered, not_offered):
    if complete is fish and not shutil.which("fish"):
        pytest.fail("fish is not installed; .ci/setup test installs it")
    found = complete(shell, tmp_path, words)
    assert offered <= found and not not_offered & found, found


def test_zsh_takes_the_script_and_offers_commands(shell, tmp_path):
    """zsh completes in an interactive shell alone: one is run on a terminal of its own."""
    from shell import Terminal

    (tmp_path / "_agentkeeper").write_text(shell.run("--generate-completion-script", "zsh"))
    (tmp_path / ".zshrc").write_text(f"PS1='%% '; fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u; echo loaded\n")
    terminal = Terminal(shell, ["zsh", "-i"], ZDOTDIR=str(tmp_path), HOME=str(tmp_path))
    terminal.expect("loaded")
    terminal.type("agentkeeper ele\t\t")
    terminal.expect("elections")
    terminal.type("\x15agentkeeper status --de\t")
    terminal.expect("--deadline")
    terminal.type("\x03exit\n")
    terminal.kill()
