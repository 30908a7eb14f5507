"""The tutorial from the demonstration to an own server: each of its commands does what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.docs import DOCS, text

pytestmark = [pytest.mark.live, pytest.mark.slow]

PAGE = DOCS / "own-server.md"
XMPPLAB = f"{sys.executable} -m lab.cli"


def commands() -> list[str]:
    """What the page has behind `$ `, but for `make demo`, which CI runs."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text(PAGE), re.M | re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert lines[0] == "make demo"
    return lines[1:]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    runs = re.match(r"xmpplab run |xmpplab export .*--verify", command)
    command = re.sub(r"^xmpplab", XMPPLAB, command) + (" --runtime processes" if runs else "")
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=250)


@pytest.mark.timeout(900)
def test_every_command_does_what_the_page_says(tmp_path: Path) -> None:
    output: dict[str, list[str]] = {}
    broken = False
    for command in commands():
        if command.startswith(("sed ", "mv ")):
            broken = command.startswith("sed ")
        done = run(command, tmp_path)
        expected = 1 if broken and "--verify" in command else 0
        assert done.returncode == expected, f"$ {command}\n{done.stdout}{done.stderr}"
        output.setdefault(command, []).append(done.stdout)
    (counted,) = (texts[0] for command, texts in output.items() if command.startswith("grep -rc"))
    assert counted == "0\n"
    (marked,) = (texts[0] for command, texts in output.items() if command.startswith("grep -rn"))
    (written,) = (texts[0] for command, texts in output.items() if command.endswith("--server home"))
    places = re.findall(r"^(?:example\.org/)?(\S+:\d+):", marked, re.M)
    assert places
    assert all(place in written for place in places if not place.startswith("README"))
    first, failed, last = next(texts for command, texts in output.items() if "--verify" in command)
    assert first.count("VALID: ") == last.count("VALID: ") == 5
    assert "FAILED: owner_decides" in failed
    assert "FAILED: own_network" in failed
