"""What servers saw and kept, taken into the history once the scenario is over.

A search that finds nothing proves nothing unless it would have found something: the markers of settle() carry a
control text unencrypted, so every server that handled one must have it in its feed and in its archive. Servers are
asked to write down what they keep in memory; the search is repeated until the control turns up.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import PeerError, TimedOut
from lab.history.canaries import find_all
from lab.history.events import CanaryFound, Note, Searched
from lab.network.feeds import read
from lab.servers import software
from lab.servers.conventions import FEED
from lab.topology.spec import Feed

if TYPE_CHECKING:
    from lab.federation.network import Federation

# A server that was not asked, or did not listen, writes by itself within seconds: mnesia after three.
CONTROL_DEADLINE = 15.0
LOOK_AGAIN = 0.1
# Places where a plaintext message that a server handled must turn up.
CONTROLLED = ("feed", "archive")


@dataclass(frozen=True)
class Found:
    """One readable text in one file."""

    text: str
    encoding: str
    where: str


async def collect(federation: Federation, offsets: dict[str, int]) -> None:
    """Read every feed from its offset, then search every place of every server."""
    for server in federation.servers:
        await _read_feed(federation, server.name, offsets.get(server.name, 0))
    controlled = _handled_marker(federation)
    await asyncio.gather(*(_search(federation, one.name, one.name in controlled) for one in federation.servers))


async def _read_feed(federation: Federation, name: str, offset: int) -> None:
    spec = federation.server(name).spec
    path = federation.lab.layout.server(name) / FEED
    if spec.feed is Feed.OFF or not spec.manifest.instrumented:
        return
    if not path.exists():
        federation.history.record(_note(federation, f"server {name} has written no feed"))
        return
    while True:
        events, reached = await asyncio.to_thread(read, path, name, offset)
        for event in events:
            federation.history.record(event)
        if reached == offset:
            return
        offset = reached


def _handled_marker(federation: Federation) -> set[str]:
    """Servers through whose hands a marker went, by what devices say."""
    names: set[str] = set()
    for message in federation.messages.values():
        if message.marker and message.deliveries:
            names |= {message.sender.server.name, message.receiver.server.name}
    return names


async def _search(federation: Federation, name: str, controlled: bool) -> None:
    spec = federation.server(name).spec
    if not spec.manifest.instrumented:
        federation.history.record(_note(federation, f"server {name} is not the lab's: its files were not searched"))
        return
    folder = federation.lab.layout.server(name)
    try:
        await federation.lab.operate(name, software(spec.software).flush())
    except (PeerError, TimedOut) as error:  # what is in its files is searched all the same
        federation.history.record(_note(federation, f"server {name} does not write down what it keeps: {error}"))
    for place, globs in software(spec.software).places.items():
        expected = controlled and place in CONTROLLED and not (place == "feed" and spec.feed is not Feed.FULL)
        await _search_place(federation, name, folder, place, globs, expected)


async def _search_place(
    federation: Federation, name: str, folder: Path, place: str, globs: tuple[str, ...], expected: bool
) -> None:
    deadline = time.monotonic() + CONTROL_DEADLINE
    wanted = [*federation.canaries, federation.control]
    while True:
        files, size, found = await asyncio.to_thread(_look, folder, globs, wanted)
        control = any(one.text == federation.control for one in found)
        if control or not expected or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_AGAIN)
    now, record = federation.history.now(), federation.history.record
    record(
        Searched(
            at=now, server=name, place=place, files=files, bytes=size, canaries=len(federation.canaries),
            control=control if expected else None,
        )
    )  # fmt: skip
    for one in found:
        if one.text != federation.control:
            record(
                CanaryFound(
                    at=now, server=name, place=place, canary=one.text, encoding=one.encoding, where=one.where,
                    message=_carrier(federation, one.text),
                )
            )  # fmt: skip


def _look(folder: Path, globs: tuple[str, ...], wanted: list[str]) -> tuple[int, int, list[Found]]:
    paths = sorted({path for glob in globs for path in folder.glob(glob) if path.is_file()})
    size, found = 0, []
    for path in paths:
        data = path.read_bytes()
        size += len(data)
        found += [Found(hit.canary, hit.encoding, str(path.relative_to(folder))) for hit in find_all(wanted, data)]
    return len(paths), size, found


def _carrier(federation: Federation, canary: str) -> str | None:
    return next((one.id for one in federation.messages.values() if canary in one.text), None)


def _note(federation: Federation, text: str) -> Note:
    return Note(at=federation.history.now(), text=text)
