"""What the servers stored, searched for canaries once the scenario is over.

A search that finds nothing proves nothing unless it would have found something: the markers of settle() carry a
control text unencrypted, so every server that handled one must have it in its feed and in its archive. Servers are
asked to write what they hold in memory; the search is repeated until the control text is found. Of uploaded files the
server must have each as it was uploaded: these are their own control.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import PeerError, TimedOut
from lab.federation.participants import Participants
from lab.federation.rooms import Room
from lab.federation.servers import ServerHandle
from lab.history.canaries import find_all
from lab.history.events import CanaryFound, FileUploaded, Searched
from lab.history.key_events import LinkSearched
from lab.servers import get_software
from lab.topology.spec import Feed

# Seconds. A server that did not write when asked does so by itself within seconds: mnesia after three.
CONTROL_DEADLINE = 15.0
POLL_INTERVAL = 0.1


#: Which texts each link has carried: the answer of the control operation `search_capture`.
LinkSearch = Callable[[Sequence[str]], Awaitable[list[dict[str, Any]]]]


@dataclass(frozen=True)
class FoundText:
    """One readable text in one file."""

    text: str
    encoding: str
    where: str


async def search(participants: Participants, servers: Sequence[ServerHandle]) -> None:
    """Search every place of every server for every canary."""
    controlled = _controlled_places(participants) if participants.context.canaries else set()
    await asyncio.gather(*(_search(participants, one, controlled) for one in servers))


async def search_links(participants: Participants, search: LinkSearch) -> None:
    """Search what passed the links, where there are canaries."""
    context = participants.context
    if not context.canaries:
        return
    now, record = context.history.now(), context.history.record
    for link in await search([*context.canaries, context.control]):
        found = [(str(text), str(encoding)) for text, encoding in link["found"]]
        record(
            LinkSearched(
                at=now, source=link["source"], target=link["target"], bytes=link["bytes"],
                canaries=len(context.canaries), control=any(text == context.control for text, _ in found),
                complete=link["complete"],
            )
        )  # fmt: skip
        for canary, encoding in found:
            if canary != context.control:
                record(
                    CanaryFound(
                        at=now, server=link["source"], place="link", canary=canary, encoding=encoding,
                        where=f"{link['source']} - {link['target']}", message=_message_with(participants, canary),
                    )
                )  # fmt: skip


def _controlled_places(participants: Participants) -> set[tuple[str, str]]:
    """Server and place where the control text must be: the server has handled a marker, as its delivery shows.

    What is said in a room is archived by the room's server alone (XEP-0313 section 3.1.2, XEP-0045).
    """
    found: set[tuple[str, str]] = set()
    for message in participants.messages.values():
        if message.marker and message.deliveries:
            sender, receiver = message.sender.server.name, message.receiver.server.name
            found |= {(sender, "feed"), (receiver, "feed"), (receiver, "archive")}
            if not isinstance(message.receiver, Room):
                found.add((sender, "archive"))
    return found


async def _search(participants: Participants, server: ServerHandle, controlled: set[tuple[str, str]]) -> None:
    context, name, spec = participants.context, server.name, server.spec
    if not spec.manifest.instrumented:
        context.history.note(f"server {name} is not the lab's: its files were not searched")
        return
    try:
        await context.lab.operate(name, get_software(spec.software).flush())
    except (PeerError, TimedOut) as error:  # what is in its files is searched all the same
        context.history.note(f"server {name} does not write what it holds in memory: {error}")
    uploaded = _find_uploaded(participants, server)
    for place, globs in get_software(spec.software).list_places(spec).items():
        expected = (name, place) in controlled and not (place == "feed" and spec.feed is not Feed.FULL)
        await _search_place(participants, name, place, globs, expected, uploaded if place == "uploads" else frozenset())


def _find_uploaded(participants: Participants, server: ServerHandle) -> frozenset[str]:
    """The digests of what devices have uploaded to a server: SHA-256, in hex."""
    mine = {device.jid for device in participants.devices.values() if device.person.server is server}
    events = (one for one in participants.context.history.events if isinstance(one, FileUploaded))
    return frozenset(one.stored for one in events if one.device in mine and one.stored)


async def _search_place(
    participants: Participants,
    name: str,
    place: str,
    globs: tuple[str, ...],
    expected: bool,
    uploaded: frozenset[str],
) -> None:
    """Search until the control text is found, if it is expected, and the files with these digests."""
    context = participants.context
    folder = context.lab.layout.server(name)
    deadline = time.monotonic() + CONTROL_DEADLINE
    wanted = [*context.canaries, context.control]
    while True:
        files, size, found, digests = await asyncio.to_thread(_find, folder, globs, wanted)
        control = any(one.text == context.control for one in found) if expected else uploaded <= digests
        if control or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_INTERVAL)
    now, record = context.history.now(), context.history.record
    record(
        Searched(
            at=now, server=name, place=place, files=files, bytes=size, canaries=len(context.canaries),
            control=control if expected or uploaded else None,
        )
    )  # fmt: skip
    for one in found:
        if one.text != context.control:
            record(
                CanaryFound(
                    at=now, server=name, place=place, canary=one.text, encoding=one.encoding, where=one.where,
                    message=_message_with(participants, one.text),
                )
            )  # fmt: skip


def _find(folder: Path, globs: tuple[str, ...], wanted: list[str]) -> tuple[int, int, list[FoundText], set[str]]:
    """The number of files, their size in bytes, the texts found in them, and their digests (SHA-256, in hex)."""
    paths = sorted({path for glob in globs for path in folder.glob(glob) if path.is_file()})
    size, found, digests = 0, [], set()
    for path in paths:
        data = path.read_bytes()
        size += len(data)
        digests.add(hashlib.sha256(data).hexdigest())
        found += [FoundText(hit.canary, hit.encoding, str(path.relative_to(folder))) for hit in find_all(wanted, data)]
    return len(paths), size, found, digests


def _message_with(participants: Participants, canary: str) -> str | None:
    """The id of the message that carried a canary."""
    return next((one.id for one in participants.messages.values() if canary in one.text), None)
