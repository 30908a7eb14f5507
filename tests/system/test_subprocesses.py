"""Other programs run to their end, or end with who started them."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.errors import TimedOut
from lab.system.processes import Identity
from lab.system.subprocesses import quote_end, run


async def test_what_it_wrote_and_how_it_ended(tmp_path: Path) -> None:
    script = 'read line; echo "$line $VARIABLE $(pwd)"; echo wrong >&2; exit 3'
    found = await run(["sh", "-c", script], {"VARIABLE": "set"}, given="hello\n", folder=tmp_path)
    assert found == (3, f"hello set {tmp_path}\nwrong\n")
    with pytest.raises(FileNotFoundError):
        await run(["no-such-program"])


async def test_what_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    with pytest.raises(TimedOut, match=r"sh did not end within 0\.2 s"):
        await run(["sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 600"], within=0.2)
    pid = int((tmp_path / "pid").read_text() or 0) if (tmp_path / "pid").exists() else 0
    assert not pid or Identity.of(pid) is None


@pytest.fixture
def script(tmp_path: Path) -> str:
    """It writes `ready`, waits, and writes `cleaned` when it gets SIGTERM."""
    return f"import pathlib, signal, sys, time\nhere = pathlib.Path({str(tmp_path)!r})\n" + (
        "def end(*_):\n    (here / 'cleaned').touch()\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n(here / 'ready').touch()\ntime.sleep(600)\n"
    )


async def test_a_cancelled_task_ends_it_and_lets_it_clean_up(script: str, tmp_path: Path) -> None:
    task = asyncio.create_task(run([sys.executable, "-c", script], grace=30.0))
    while not (tmp_path / "ready").exists():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "cleaned").exists()


async def test_it_cleans_up_also_where_the_task_is_cancelled_before_it_knows_of_it(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec

    async def start_late(*argv: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await start(*argv, **options)
        while not (tmp_path / "ready").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_late)
    task = asyncio.create_task(run([sys.executable, "-c", script], grace=30.0))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "cleaned").exists()


def test_the_end_of_what_it_wrote_is_quoted() -> None:
    assert quote_end("\n".join(map(str, range(10)))).splitlines() == [f"  | {number}" for number in range(2, 10)]
