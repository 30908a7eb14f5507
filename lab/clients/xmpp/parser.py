"""A pull parser that gives an element as soon as its last byte was received.

From expat 2.6 on a parser that was given a part of a tag and nothing else waits until as much again was received
(reparse deferral, a guard against slow parsing of long tokens). On an XML stream nothing more may follow: a
stanza of one tag that was received in two pieces would wait for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET


class PromptParser(ET.XMLPullParser):  # type: ignore[type-arg]  # generic in its stub alone
    """Feed it pieces of a stream, and read pairs of "start" or "end" and an element after each."""

    def __init__(self) -> None:
        super().__init__(("start", "end"))

    def read_events(self) -> Iterator[Any]:
        """The pairs since the last call. Raises ElementTree.ParseError where it is no longer XML."""
        yield from super().read_events()
        if flush := getattr(self, "flush", None):  # Python has it where its expat defers
            flush()
        yield from super().read_events()
