"""Reading a history back: events from a file of JSON lines, every value of the type that its event declares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lab.errors import UserError
from lab.history.events import FORMAT, KINDS, Event, Note, RunStarted
from lab.input_files import parse_json, read_regular

LARGEST_HISTORY = 8 << 30  # bytes: what a file claims to be may be more than the memory
LATEST = 253402300799.0  # seconds since the epoch: the year 9999, which calendars end with


@dataclass(frozen=True, kw_only=True)
class HistoryGap(Event):
    """The numbers of the lines show that events are missing, repeated or moved. Made by the reader, never recorded."""

    kind = "history-gap"
    text: str


def read(path: Path) -> tuple[Event, ...]:
    """Every event of a history, in the order of recording.

    Where the numbers of the lines show that one is missing, a `HistoryGap` stands in its place. A last line without its
    end was being written when the run was killed: it is dropped. That, and that a history of format 1 has no numbers,
    is said by a `Note` by "reader" at the end. Raises UserError as `file:line: what is wrong` for anything else that is
    no event, and for a history of a later format.
    """
    try:
        data = read_regular(path, LARGEST_HISTORY, "a history")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file: give the folder of a run") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    *lines, rest = data.split(b"\n")
    numbered = [_numbered(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    events = _with_gaps(numbered)
    at = numbered[-1][1].at if numbered else 0.0
    if rest:
        text = f"line {len(lines) + 1} of the history was cut off in the middle and is left out: the run was killed"
        events.append(Note(at=at, text=text, by="reader"))
    if numbered and all(number is None for number, _ in numbered):
        text = "the history is of format 1: its events have no numbers, so that a line that was taken out does not show"
        events.append(Note(at=at, text=text, by="reader"))
    return tuple(events)


def _with_gaps(numbered: list[tuple[int | None, Event]]) -> list[Event]:
    """The events, and a `HistoryGap` before each whose number does not follow; none if no event has a number."""
    if all(number is None for number, _ in numbered):
        return [event for _, event in numbered]
    events: list[Event] = []
    last = 0
    for number, event in numbered:
        if number != last + 1:
            events.append(HistoryGap(at=event.at, text=_gap(last, number)))
        events.append(event)
        last = max(last + 1, number or 0)
    return events


def _gap(last: int, number: int | None) -> str:
    if number is None:
        return f"the event after number {last} has no number"
    if number <= last:
        return f"event {number} stands after event {last}"
    missing = number - last - 1
    return f"event {last + 1} is missing" if missing == 1 else f"events {last + 1} to {number - 1} are missing"


def _numbered(line: bytes, place: str) -> tuple[int | None, Event]:
    """The event of a line, and its number if it has one."""
    file, _, number_of_line = place.rpartition(":")
    try:
        data = parse_json(line.decode(), file, int(number_of_line))
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 text (byte {error.start}): the file is damaged") from None
    if not isinstance(data, dict):
        raise UserError(f"{place}: not a JSON object but {type(data).__name__}")
    number = data.pop("seq", None)
    if number is not None and (type(number) is not int or number < 1):
        raise UserError(f"{place}: seq cannot be {number!r}")
    try:
        event = from_json(data)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error
    for name, hint in _hints(event.kind).items():
        if not _fits(getattr(event, name), hint):
            raise UserError(f"{place}: {name} of {event.kind!r} cannot be {getattr(event, name)!r}")
    if not 0 <= event.at <= LATEST:
        raise UserError(f"{place}: at of {event.kind!r} is no time: {event.at!r}")
    if isinstance(event, RunStarted) and event.format > FORMAT:
        raise UserError(f"{place}: the history is of format {event.format}: it needs a later xmpplab than this one")
    return number, event


@cache
def _hints(kind: str) -> dict[str, Any]:
    hints = get_type_hints(KINDS[kind])
    return {field.name: hints[field.name] for field in fields(KINDS[kind])}


@cache
def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value from JSON is of a type as events declare them: plain ones, `X | None`, tuples."""
    if type(value) is hint:
        return True
    origin, inner = _parts(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[-1] is Ellipsis:
            return all(_fits(one, inner[0]) for one in value)
        return len(value) == len(inner) and all(_fits(one, kind) for one, kind in zip(value, inner, strict=True))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is hint


def from_json(data: dict[str, Any]) -> Event:
    """The event of a JSON object. Raises ValueError for an unknown kind, a missing or an unknown field."""
    values = dict(data)
    kind = KINDS.get(str(values.pop("event", None)))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}")
    if unknown := values.keys() - _hints(kind.kind).keys():
        raise ValueError(f"event {kind.kind!r} has no field {sorted(unknown)[0]!r}")
    try:
        return kind(**{key: _frozen(value) for key, value in values.items()})
    except TypeError as error:
        raise ValueError(f"event {kind.kind!r}: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
