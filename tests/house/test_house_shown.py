"""What the documentation shows is run: its topologies and scenarios, on real servers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.docs import DOCS, README, text

pytestmark = pytest.mark.live


def _first(language: str, page: Path) -> str:
    """A page's first block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", text(page), re.M | re.S)
    assert found, f"{page.name} shows no {language}"
    return found[1]


@pytest.mark.parametrize(
    ("topology", "scenarios"),
    [(README, (README, DOCS / "scenarios.md")), (DOCS / "getting-started.md", (DOCS / "getting-started.md",))],
    ids=["README", "getting-started"],
)
def test_shown_scenarios_are_valid(topology: Path, scenarios: tuple[Path, ...], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(_first("yaml", topology))
    files = [tmp_path / f"shown{number}.py" for number in range(len(scenarios))]
    for file, page in zip(files, scenarios, strict=True):
        file.write_text(_first("python", page))
    command = [sys.executable, "-m", "lab.cli", "run", *map(str, files), "-t", "mine.yaml", "--runtime", "processes"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
