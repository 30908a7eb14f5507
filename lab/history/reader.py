"""Reading a history back: events from a file of JSON lines, every value of the type that its event declares."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from lab.errors import UserError
from lab.history.events import KINDS, Event, Note, from_json


def read(path: Path) -> tuple[Event, ...]:
    """Every event of a history, in the order of recording.

    A last line without its end was being written when the run was killed: it is dropped, and a last event, a `Note`
    by "reader", says so. Raises UserError as `file:line: what is wrong` for anything else that is no event.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file: give the folder of a run") from None
    *lines, rest = data.split(b"\n")
    events = [_event(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    if rest:
        at = events[-1].at if events else 0.0
        text = f"line {len(lines) + 1} of the history was cut off in the middle and is left out: the run was killed"
        events.append(Note(at=at, text=text, by="reader"))
    return tuple(events)


def _event(line: bytes, place: str) -> Event:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise UserError(f"{place}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{place}: not a JSON object but {type(data).__name__}")
    try:
        event = from_json(data)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error
    for name, hint in _hints(event.kind).items():
        if not _fits(getattr(event, name), hint):
            raise UserError(f"{place}: {name} of {event.kind!r} cannot be {getattr(event, name)!r}")
    return event


@cache
def _hints(kind: str) -> dict[str, Any]:
    hints = get_type_hints(KINDS[kind])
    return {field.name: hints[field.name] for field in fields(KINDS[kind])}


def _fits(value: object, hint: Any) -> bool:
    """Whether a value from JSON is of a type as events declare them: plain ones, `X | None`, tuples."""
    origin, inner = get_origin(hint), get_args(hint)
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
