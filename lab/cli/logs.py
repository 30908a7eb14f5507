"""`xmpplab logs`: what servers and the lab's service wrote, once or as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import IO, Annotated

import typer

from lab.cli.options import LabOption

#: Seconds between two looks at files that are followed: quick to people, nothing to a processor.
POLL = 0.2


def logs(
    server: Annotated[
        str | None,
        typer.Argument(metavar="[SERVER]", help="Only this server; `service` is the lab's own.", show_default=False),
    ] = None,
    name: LabOption = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines of each file.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as lines come, until Ctrl-C.")] = False,
) -> None:
    """Show the last lines that servers logged."""
    from lab.cli.edge import work

    work(_show(server, name, lines, follow))


async def _show(server: str | None, name: str | None, lines: int, follow: bool) -> None:
    from lab.lifecycle.registry import attach

    lab = await attach(name)
    files = log_files(lab.layout.root, [each.spec.name for each in lab.plan.servers], server)
    for label, path in files:
        for line in last_lines(path, lines):
            print(f"{label}  {line}")
    if follow:
        async for label, line in follow_files(files):
            print(f"{label}  {line}", flush=True)


def log_files(root: Path, servers: Sequence[str], only: str | None) -> list[tuple[str, Path]]:
    """Label and path of every log file of a lab, or of one server. Raises UserError for an unknown server."""
    from lab.errors import UserError
    from lab.plan.layout import Layout
    from lab.servers.conventions import LOG, OUTPUT

    layout = Layout(root)
    places = {each: [layout.server(each) / LOG, layout.server(each) / OUTPUT] for each in servers}
    places["service"] = [layout.service_log]
    if only is not None and only not in places:
        raise UserError(f"no server {only!r} in this lab; there are: {', '.join(places)}")
    width = max(len(each) for each in places)
    return [(each.ljust(width), path) for each, paths in places.items() if only in (None, each) for path in paths]


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file; none if it is not there (yet)."""
    from collections import deque

    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []


async def follow_files(files: Sequence[tuple[str, Path]]) -> AsyncGenerator[tuple[str, str], None]:
    """Whole lines as they are added, files that appear later included."""
    import asyncio

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
