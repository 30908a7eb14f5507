"""Lessons check what they ask for: right predictions pass, any wrong one does not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.docs import DOCS, text

XMPPLAB = [sys.executable, "-m", "lab.cli"]
LESSONS = sorted((DOCS / "lessons").glob("*.md"))

#: The right answers, in the order in which the files ask.
RIGHT = {
    "both-must-allow": ["encrypted", "refused", "plain", "refused", "encrypted"],
    "no-relaying": ["delivered", "delivered", "bounced", "bounced"],
    "who-and-when": ["yes", "yes", "yes", "yes", "no", "yes", "yes", "yes"],
}


def _save(lesson: str, answers: list[str], folder: Path) -> Path:
    """The lesson's file with these answers in place of the question marks."""
    shown = re.search(r"^```python\n# (\S+)\n(.*?)^```$", text(DOCS / "lessons" / f"{lesson}.md"), re.M | re.S)
    assert shown
    filled = iter(answers)
    code = re.sub(r'"\?"', lambda _: f'"{next(filled)}"', shown[2])
    assert next(filled, None) is None
    (folder / shown[1]).write_text(code)
    return folder / shown[1]


def _run(*command: object, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(one) for one in command], cwd=folder, input=given, capture_output=True, text=True, timeout=240
    )


def test_each_lesson_has_its_parts_and_stands_in_the_list() -> None:
    assert {page.stem for page in LESSONS} == set(RIGHT)
    for page in LESSONS:
        assert re.findall(r"^## (.+)$", text(page), re.M) == ["Predict", "Run", "Explain"], page
        assert f"lessons/{page.name}" in text(DOCS / "lessons.md")


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize(
    ("lesson", "topology", "place", "step"),
    [
        ("no-relaying", "line:3", 2, "a person on s1 writes to one on s3"),
        ("both-must-allow", "pair,software=prosody+ejabberd", 3, "alice with omemo writes to bob with omemo:2"),
    ],
)
def test_a_scenario_is_valid_if_every_prediction_is_right(
    lesson: str, topology: str, place: int, step: str, tmp_path: Path
) -> None:
    right = RIGHT[lesson]
    wrong = [*right[:place], "no such answer", *right[place + 1 :]]
    codes = []
    for answers in (right, wrong):
        file = _save(lesson, answers, tmp_path)
        done = _run(*XMPPLAB, "run", file, "-t", topology, "--runtime", "processes", folder=tmp_path)
        codes.append(done.returncode)
    assert codes == [0, 1], done.stdout + done.stderr
    assert step in " ".join(done.stdout.split())


@pytest.mark.live
@pytest.mark.slow
def test_what_servers_learn(tmp_path: Path) -> None:
    topology = ("-t", "pair,software=prosody+ejabberd", "--runtime", "processes")
    done = _run(*XMPPLAB, "run", "who_and_when", *topology, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    learned = _run(*XMPPLAB, "exposure", "-f", "json", folder=tmp_path).stdout
    right = RIGHT["who-and-when"]
    done = _run(sys.executable, _save("who-and-when", right, tmp_path), folder=tmp_path, given=learned)
    assert (done.returncode, done.stdout) == (0, "16 of 16 right\n")
    wrong = _save("who-and-when", ["no", *right[1:]], tmp_path)
    done = _run(sys.executable, wrong, folder=tmp_path, given=learned)
    assert done.returncode == 1
    assert "contacts at a: yes, see event" in done.stdout
    nothing = _run(sys.executable, wrong, folder=tmp_path, given=json.dumps({"exposure": []}))
    assert (nothing.returncode, nothing.stdout) == (1, "0 of 0 right\n")
