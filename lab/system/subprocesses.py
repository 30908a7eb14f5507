"""Runs other programs to their end. They end with this process, however it ends, and when the task is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import TimedOut
from lab.system.processes import die_with_parent

_EVIDENCE = 8  # last lines quoted of its output


def build_python_command(module: str, *words: str, python: str = sys.executable) -> list[str]:
    """The command that runs a Python module, whatever files lie in the current folder.

    Without `-P` that folder would come first on the module path, and a user's own random.py or dns.py would replace
    the module of that name in every process of the lab.
    """
    return [python, "-P", "-m", module, *words]


async def run(
    argv: Sequence[str],
    environment: dict[str, str] | None = None,
    *,
    given: str = "",
    folder: Path | None = None,
    within: float | None = None,
    grace: float = 0.0,
) -> tuple[int, str]:
    """Run a command; its exit code and all that it wrote. `given` is its standard input, `folder` where it runs.

    It is killed if it has to end early; with `grace` it gets SIGTERM first and that many seconds to clean up.
    Raises FileNotFoundError, and TimedOut after `within` seconds.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": build_search_path(), **(environment or {})},
            preexec_fn=die_with_parent(signal.SIGTERM if grace else signal.SIGKILL),
            start_new_session=bool(grace),  # to clean up it may signal its whole process group, which must not be ours
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:  # it may run already, and asyncio would kill it at once
        await _end(await starting, grace)
        raise
    try:
        async with asyncio.timeout(within):
            output, _ = await process.communicate(given.encode())
    except BaseException as error:
        await _end(process, grace)
        if isinstance(error, TimeoutError):
            raise TimedOut(f"{Path(argv[0]).name} did not end within {within:g} s") from None
        raise
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is not None:
        return
    if grace:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
            return
    process.kill()
    await process.wait()


def build_search_path() -> str:
    """PATH, and the folders of system tools that an ordinary user's PATH does not have."""
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"


def quote_end(output: str) -> str:
    """The end of what a command wrote, as it is quoted in an error."""
    return "\n".join(f"  | {line}" for line in output.splitlines()[-_EVIDENCE:])
