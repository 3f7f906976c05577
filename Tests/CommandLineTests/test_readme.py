"""What the README shows, as it stands there."""

import re
import subprocess

from keeper import PATIENCE, ROOT


def commands():
    readme = (ROOT / "README.md").read_text()
    section = re.search(r"## From the command line\n(.*?)\n## ", readme, re.DOTALL).group(1)
    return [line.removeprefix("    ") for line in section.splitlines() if line.startswith("    ")]


def test_the_examples_of_the_readme_work(shell, tmp_path):
    lines = [line.replace("/tmp/", f"{tmp_path}/") for line in commands()]
    assert len(lines) > 10 and all("agentkeeper " in line for line in lines)
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)], capture_output=True, text=True, env=shell.environment, timeout=PATIENCE
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for shown in ("at work under token 1", "I lead", "report-8", "allowed by policy", "task.completed"):
        assert shown in done.stdout
    assert "somebody else" not in done.stdout
    assert shell.json("tasks", "list")[0]["output"] == "a short one"
