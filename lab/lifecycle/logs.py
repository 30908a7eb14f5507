"""The log files of a lab, and new lines as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import IO

from lab.errors import UserError

#: Seconds between two reads of files that are followed.
POLL = 0.2


def find_log_files(root: Path, servers: Sequence[str], only: str | None) -> list[tuple[str, Path]]:
    """Label and path of every log file of a lab, or of one server. Raises UserError for an unknown server."""
    from lab.plan.layout import Layout
    from lab.servers.conventions import LOG, OUTPUT

    layout = Layout(root)
    places = {each: [layout.server(each) / LOG, layout.server(each) / OUTPUT] for each in servers}
    places["service"] = [layout.service_log]
    if only is not None and only not in places:
        raise UserError(f"no server {only!r} in this lab; there are: {', '.join(places)}")
    width = max(len(each) for each in places)
    return [(each.ljust(width), path) for each, paths in places.items() if only in (None, each) for path in paths]


async def follow_files(files: Sequence[tuple[str, Path]]) -> AsyncGenerator[tuple[str, str], None]:
    """Whole lines as they are added, files that appear later included."""
    opened: dict[Path, IO[str]] = {}
    rest: dict[Path, str] = {}
    for _, path in files:
        if path.exists():
            opened[path] = _open(path)
            opened[path].seek(0, 2)
    try:
        while True:
            for label, path in files:
                if path not in opened and path.exists():
                    opened[path] = _open(path)
                if path in opened:
                    *whole, rest[path] = (rest.get(path, "") + opened[path].read()).split("\n")
                    for line in whole:
                        yield label, line
            await asyncio.sleep(POLL)
    finally:
        for file in opened.values():
            file.close()


def _open(path: Path) -> IO[str]:
    return path.open(encoding="utf-8", errors="replace")
