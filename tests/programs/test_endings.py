"""Nothing is left of these tests when they are ended: no terminal, no display, no program, no lab."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.programs.terminal import DEADLINE

pytestmark = [pytest.mark.clients, pytest.mark.live]
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.fixture
def orphans() -> Iterator[None]:
    """What has lost its parent becomes a child of this process, so that it is found."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


def list_descendants(pid: int | str = "self") -> dict[int, str]:
    """The names of the processes that a process has started, and those have, by pid; of a zombie "" is the name."""
    found: dict[int, str] = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child: read_name(child), **list_descendants(child)}
    return found


def read_name(pid: int) -> str:
    stat = Path(f"/proc/{pid}/stat").read_text()
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return "" if rest.split()[0] == "Z" else name


@pytest.mark.usefixtures("orphans")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    ("test", "program"),
    [
        ("test_profanity.py::test_omemo_both_ways[processes-ejabberd-prosody]", "profanity"),
        ("test_windows.py::test_dino_omemo_both_ways[processes-prosody-ejabberd]", "dino-im"),
        ("test_windows.py::test_converse_omemo_both_ways[processes-omemo-prosody-ejabberd]", "chromium"),
    ],
)
def test_nothing_is_left_of_a_test_that_is_ended(
    test: str, program: str, number: signal.Signals, tmp_path: Path
) -> None:
    before = list_descendants()
    options = ["--clients", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inner")]
    with (tmp_path / "output").open("w") as output:
        tests = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, f"tests/programs/{test}"],
            cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    until = time.monotonic() + DEADLINE
    while program not in list_descendants().values():
        assert tests.poll() is None and time.monotonic() < until, (tmp_path / "output").read_text()
        time.sleep(0.1)
    tests.send_signal(number)
    tests.wait(DEADLINE)
    until = time.monotonic() + DEADLINE
    while left := {pid: name for pid, name in list_descendants().items() if pid not in before and name}:
        if time.monotonic() > until:
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            pytest.fail(f"left behind: {left}")
        time.sleep(0.1)
    for pid in set(list_descendants()) - set(before):
        os.waitpid(pid, 0)
