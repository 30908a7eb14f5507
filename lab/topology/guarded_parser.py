"""A YAML parser that stops at once at what cannot be a topology: thousands of servers, or nesting without an end.

ruamel.yaml reads about 100 KB a second, and what it composes is checked only once it is whole. Here events are counted
while they are parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.parser import RoundTripParser

from lab.topology.limits import MAX_LINKS, MAX_SERVERS

_LINK = "between"
MAX_DEPTH = 20  # a topology has four levels

#: Of collections at the top of the file; anywhere else, and for the keys of the file itself, MAX_SERVERS.
_MOST = {"servers": MAX_SERVERS, "links": MAX_LINKS}


class TooMuch(Exception):
    """There is more in the text than any topology has; `mark` is where it became too much."""

    def __init__(self, mark: Any, message: str) -> None:
        super().__init__(message)
        self.mark = mark


def find_excess_link(text: str) -> tuple[int, int] | None:
    """Where a text has one link too many, by its `between`: line and column, from 1. Parsing them would take 10 s."""
    if text.count(_LINK) <= MAX_LINKS:
        return None
    place = next(islice(re.finditer(_LINK, text), MAX_LINKS, None)).start()
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


@dataclass
class _Collection:
    name: str  # the key at the top of the file that it stands behind; "" elsewhere
    mapping: bool
    nodes: int = 0  # directly in it; a mapping's keys count as well
    key: str = ""  # the last one of a mapping


class GuardedParser(RoundTripParser):
    """ruamel's own parser. Raises TooMuch."""

    def __init__(self, loader: Any) -> None:
        super().__init__(loader=loader)
        self._open: list[_Collection] = []

    def get_event(self) -> Any:
        """The next event, counted."""
        event = super().get_event()
        if isinstance(event, NodeEvent):
            self._count(event)
        if isinstance(event, CollectionStartEvent):
            self._enter(event)
        elif isinstance(event, CollectionEndEvent):
            self._open.pop()
        return event

    def _enter(self, event: Event) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise TooMuch(event.start_mark, "nested too deeply: a topology has four levels at most")
        name = self._open[0].key if len(self._open) == 1 and self._open[0].mapping else ""
        self._open.append(_Collection(name, isinstance(event, MappingStartEvent)))

    def _count(self, event: Event) -> None:
        if not self._open:
            return
        here = self._open[-1]
        here.nodes += 1
        if here.mapping and here.nodes % 2:
            here.key = str(event.value) if isinstance(event, ScalarEvent) else ""
        most = _MOST.get(here.name, MAX_SERVERS)
        if here.nodes > most * (1 + here.mapping):
            what = f"more than {most} {here.name}" if here.name in _MOST else f"more than {most} entries"
            raise TooMuch(event.start_mark, f"{what}, which no lab can hold")
