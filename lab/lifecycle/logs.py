"""The log files of a lab, and new lines as they are written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from lab.errors import UserError
from lab.network.lab_folder import is_service_running
from lab.plan.layout import Layout
from lab.runtime.lab_record import READY, LabRecord

#: Seconds between two reads of files that are followed.
POLL = 0.2


def find_log_files(root: Path, servers: Sequence[str], only: str | None) -> list[tuple[str, Path]]:
    """Label and path of every log file of a lab, or of one server. Raises UserError for an unknown server."""
    from lab.servers.conventions import LOG, OUTPUT

    layout = Layout(root)
    places = {each: [layout.server(each) / LOG, layout.server(each) / OUTPUT] for each in servers}
    places["service"] = [layout.service_log]
    if only is not None and only not in places:
        raise UserError(f"no server {only!r} in this lab; there are: {', '.join(places)}")
    width = max(len(each) for each in places)
    return [(each.ljust(width), path) for each, paths in places.items() if only in (None, each) for path in paths]


def last_lines(
    files: Sequence[tuple[str, Path]], count: int, *, whole: bool
) -> tuple[list[tuple[str, str]], dict[Path, int]]:
    """The last whole lines of each file with its label, and where they end, from where it can be followed.

    Without `whole` a last line that has no end yet is among them.
    """
    lines: list[tuple[str, str]] = []
    ends: dict[Path, int] = {}
    for label, path in files:
        try:
            with path.open("rb") as file:
                last, end = deque(file, maxlen=count + 1), file.tell()
        except FileNotFoundError:
            continue
        if whole and last and not last[-1].endswith(b"\n"):
            end -= len(last.pop())
        ends[path] = end
        lines += [(label, line.decode(errors="replace").rstrip("\n")) for line in [*last][-count:] if count]
    return lines, ends


async def follow_files(
    files: Sequence[tuple[str, Path]],
    ends: Mapping[Path, int] | None = None,
    *,
    is_up: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[tuple[str, str], None]:
    """Whole lines added behind `ends` (see `last_lines`), also of files that appear later, for as long as it is up."""
    opened: dict[Path, IO[str]] = {}
    rest: dict[Path, str] = {}
    going_on = True
    try:
        while going_on:
            going_on = is_up()  # asked before they are read: what was written until then is shown
            for label, path in files:
                if path not in opened and (file := _open(path)) is not None:
                    opened[path] = file
                    file.seek((ends or {}).get(path, 0))
                if path in opened:
                    *whole, rest[path] = (rest.get(path, "") + opened[path].read()).split("\n")
                    for line in whole:
                        yield label, line
            if going_on:
                await asyncio.sleep(POLL)
    finally:
        for file in opened.values():
            file.close()


def goes_on(layout: Layout, record: LabRecord) -> bool:
    """Whether anything may still be logged in that very lab: it is starting or ending, or its service runs."""
    now = LabRecord.read(layout)
    return now is not None and now.made == record.made and (now.phase != READY or is_service_running(layout))


def _open(path: Path) -> IO[str] | None:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
