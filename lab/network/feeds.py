"""Reads the feed files, in which servers record stanzas, streams, and warnings and errors of their logs, as events.

A server's module appends JSON lines, flushed line by line. A stanza is

    {"at": 1700000000.0, "direction": "in|out", "stream": "c2s|s2s", "name": "message", "type": "chat" or null,
     "id": ..., "from": ..., "to": ..., "size": bytes, "encryption": namespace or null, "body": bool,
     "stanza": the XML, null in a `meta` feed, "peer": the domain or full JID that is authenticated at the stream's
     other end, null or left out where the module does not know it}

a stream that was opened or closed (the last three fields only then), and a line of the log are

    {"at": ..., "event": "stream-opened|stream-closed", "stream": "c2s|s2s", "direction": "in|out", "peer": JID,
     "id": ..., "tls": version, "authentication": mechanism, "condition": ..., "by": "server|peer|", "text": ...}
    {"at": ..., "event": "logged", "level": "warning|error", "text": ...}

and `{"at": ..., "event": "started"}` is the first of each start: no stream from before is open any more.

A reader keeps an offset in bytes and reads again from there. A last line without its end is still being written and is
left for the next time. Any other line that is not as above is an error: evidence must not be skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.errors import PeerError
from lab.history.events import Event, ServerLogged, ServerSaw, ServerStreamClosed, ServerStreamOpened

LARGEST_READ = 16 * 1024 * 1024  # bytes at a time: one stanza is at most 512 KiB in the servers' settings

STARTED = "started"
# Words in the lines that say which streams are open: others need not be parsed.
_OF_STREAMS = (b'"stream-opened"', b'"stream-closed"', f'"{STARTED}"'.encode())

_TEXT = (str,)
_NUMBER = (int, float)
_OPTIONAL = (str, type(None))
_FIELDS: dict[str, tuple[type, ...]] = {
    "at": _NUMBER, "direction": _TEXT, "stream": _TEXT, "name": _TEXT, "type": _OPTIONAL, "id": _OPTIONAL,
    "from": _OPTIONAL, "to": _OPTIONAL, "size": (int,), "encryption": _OPTIONAL, "body": (bool,), "stanza": _OPTIONAL,
}  # fmt: skip
_STREAM: dict[str, tuple[type, ...]] = {
    "at": _NUMBER, "stream": _TEXT, "direction": _TEXT, "peer": _TEXT, "id": _TEXT, "tls": _TEXT,
    "authentication": _TEXT,
}  # fmt: skip
#: Fields of the lines that are no stanzas, by their `event`.
_OTHERS: dict[str, tuple[type[Event], dict[str, tuple[type, ...]]]] = {
    "stream-opened": (ServerStreamOpened, _STREAM),
    "stream-closed": (ServerStreamClosed, {**_STREAM, "condition": _TEXT, "by": _TEXT, "text": _TEXT}),
    "logged": (ServerLogged, {"at": _NUMBER, "level": _TEXT, "text": _TEXT}),
}
_CHOICES = {
    "direction": ("in", "out"), "stream": ("c2s", "s2s"), "name": ("message", "presence", "iq"),
    "by": ("server", "peer", ""), "level": ("warning", "error"),
}  # fmt: skip


def read(path: Path, server: str, offset: int = 0) -> tuple[list[Event], int]:
    """The events of `server` since `offset`, and the offset to continue from.

    One call reads at most LARGEST_READ bytes: call again while the offset grows. A file that is not there yet
    is an empty one. Raises PeerError, naming the file and the place, for a line that is not as above, and
    for a file that has become shorter than `offset`.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < offset:
                raise PeerError(f"{path}: the feed of {server} has shrunk from {offset} to {size} bytes")
            file.seek(offset)
            data = file.read(LARGEST_READ)
    except FileNotFoundError:
        if offset:
            raise PeerError(f"{path}: the feed of {server} does not exist any more") from None
        return [], 0
    end = data.rfind(b"\n") + 1
    if not end and len(data) == LARGEST_READ:
        raise PeerError(f"{path}: byte {offset}: no end of line in {LARGEST_READ} bytes")
    seen: list[Event] = []
    for line in data[:end].splitlines(keepends=True):
        try:
            event = parse(line, server)
        except ValueError as error:
            raise PeerError(f"{path}:{_number(path, offset)}: {error}: {line[:200]!r}") from error
        if event is not None:
            seen.append(event)
        offset += len(line)
    return seen, offset


def read_whole(path: Path, server: str) -> list[tuple[int, Event]]:
    """All events of a feed with the numbers of their lines, from 1. Raises PeerError as `read` does."""
    found = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # it is still being written
                    break
                if (event := _parse_line(line, server, f"{path}:{number}")) is not None:
                    found.append((number, event))
    except FileNotFoundError:
        return []
    return found


def open_streams(path: Path, server: str, until: int) -> list[ServerStreamOpened]:
    """The streams of `server` that were open when its feed had `until` bytes. Raises PeerError as `read` does."""
    found: dict[tuple[str, str, str, str], ServerStreamOpened] = {}
    try:
        with path.open("rb") as file:
            place = 0
            for number, line in enumerate(file, 1):
                place += len(line)
                if place > until:
                    break
                if any(word in line for word in _OF_STREAMS):
                    _follow_stream(found, line, server, f"{path}:{number}")
    except FileNotFoundError:
        return []
    return list(found.values())


def _follow_stream(
    found: dict[tuple[str, str, str, str], ServerStreamOpened], line: bytes, server: str, place: str
) -> None:
    event = _parse_line(line, server, place)
    if event is None:
        found.clear()
    elif isinstance(event, ServerStreamOpened):
        found[event.stream, event.direction, event.peer, event.id] = event
    elif isinstance(event, ServerStreamClosed):
        found.pop((event.stream, event.direction, event.peer, event.id), None)


def _parse_line(line: bytes, server: str, place: str) -> Event | None:
    try:
        return parse(line, server)
    except ValueError as error:
        raise PeerError(f"{place}: {error}: {line[:200]!r}") from error


def parse(line: bytes, server: str) -> Event | None:
    """The event of one line of a feed, None for the server's start. Raises ValueError for any other line."""
    entry = json.loads(line)
    if not isinstance(entry, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - all that is wrong with a line is a ValueError
    if "event" not in entry:
        _check_fields(entry, _FIELDS)
        _check("peer", entry.get("peer"), _OPTIONAL)
        return _stanza(entry, server)
    if entry["event"] == STARTED:
        return None
    if not isinstance(entry["event"], str) or entry["event"] not in _OTHERS:
        raise ValueError(f"'event' is {entry['event']!r}, not one of {', '.join(_OTHERS)}")
    kind, fields = _OTHERS[entry["event"]]
    _check_fields(entry, fields)
    values: dict[str, Any] = {"server": server, **{field: entry[field] for field in fields}}
    if kind is ServerStreamOpened and "address" in entry:  # feeds of a server of one's own need not have it
        _check("address", entry["address"], _TEXT)
        values["address"] = entry["address"]
    return kind(**values)


def _check_fields(entry: dict[str, Any], fields: dict[str, tuple[type, ...]]) -> None:
    for field, kinds in fields.items():
        if field not in entry:
            raise ValueError(f"{field!r} is missing")
        _check(field, entry[field], kinds)


def _check(field: str, value: Any, kinds: tuple[type, ...]) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{field!r} is {value!r}")
    if field in _CHOICES and value not in _CHOICES[field]:
        raise ValueError(f"{field!r} is {value!r}, not one of {', '.join(_CHOICES[field])}")


def _stanza(entry: dict[str, Any], server: str) -> ServerSaw:
    return ServerSaw(
        at=float(entry["at"]), server=server, direction=entry["direction"], stream=entry["stream"], name=entry["name"],
        type=entry["type"], id=entry["id"], sender=entry["from"], receiver=entry["to"], size=entry["size"],
        encryption=entry["encryption"], body=entry["body"], stanza=entry["stanza"],
        peer=entry.get("peer") or "",
    )  # fmt: skip


def _number(path: Path, offset: int) -> int:
    """The number of the line that begins at `offset`, from 1."""
    with path.open("rb") as file:
        return file.read(offset).count(b"\n") + 1
