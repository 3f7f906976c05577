"""What the command line showed when somebody last looked at it and found it good.

After a change that is meant: GOLDEN=write pytest Tests/CommandLineTests, and look at the difference.
"""

import os
from pathlib import Path

DIRECTORY = Path(__file__).parent / "golden"


def same(name, text):
    path = DIRECTORY / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert path.exists(), f"there is no {path}; GOLDEN=write makes it"
    assert text == path.read_text()
