"""An XML stream (RFC 6120 section 4) cut into its parts, and elements inside a stanza. Pure: bytes in, bytes out.

Each part has exactly the bytes in which it was received, so that what passes is never written anew; an edit replaces
the bytes of one element. expat says where a tag begins; where it ends is found here, since of an empty element
(`<r/>`) expat reports the end behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from xml.parsers import expat
from xml.sax.saxutils import escape

_TAG = re.compile(rb"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
_SEPARATOR = " "  # between namespace and local name, as expat gives them


class PartKind(Enum):
    """What a part of a stream is."""

    HEADER = "header"  # <stream:stream>
    ELEMENT = "element"  # a stanza, or another child of the stream
    SPACE = "space"  # whitespace that keeps the connection alive (RFC 6120 section 4.6.1)
    FOOTER = "footer"  # </stream:stream>
    REST = "rest"  # from the first byte on that is no XML


@dataclass(frozen=True, slots=True)
class StreamPart:
    """A part of a stream with the bytes in which it was received."""

    kind: PartKind
    raw: bytes
    name: str = ""  # of an element, with the prefix as it is written
    default: str = ""  # the default namespace that the element itself declares


class StreamSplitter:
    """Cuts one stream of bytes into its parts. A new stream (after TLS, after SASL) needs a new splitter."""

    def __init__(self) -> None:
        self.header = b""  # with the namespaces that stanzas inherit, once it was received
        self._buffer = bytearray()
        self._base = 0  # offset in the stream of the buffer's first byte
        self._depth = 0
        self._parts: list[StreamPart] = []
        self._default = ""
        self._broken = False
        self._parser = expat.ParserCreate()
        if hasattr(self._parser, "SetReparseDeferralEnabled"):  # else a tag is reported late, since expat 2.6
            self._parser.SetReparseDeferralEnabled(False)
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, data: bytes) -> list[StreamPart]:
        """The parts that are complete with these bytes. From bytes on that are no XML, whatever comes is the rest."""
        self._parts = []
        self._buffer += data
        if not self._broken:
            try:
                self._parser.Parse(data, False)
            except expat.ExpatError:
                self._broken = True
        if self._broken:
            self._take(self._base + len(self._buffer), PartKind.REST)
        elif self._depth == 1 and self._buffer and not self._buffer.strip():
            self._take(self._base + len(self._buffer), PartKind.SPACE)
        return self._parts

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            tag = _TAG.match(self._buffer, self._parser.CurrentByteIndex - self._base)
            assert tag is not None  # expat has read the whole tag
            self.header = self._take(self._base + tag.end(), PartKind.HEADER, name)
        elif self._depth == 2:
            self._default = attributes.get("xmlns", "")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth > 1:
            return
        at = self._parser.CurrentByteIndex - self._base
        if self._buffer.startswith(b"</" + name.encode(), at) and (tag := _TAG.match(self._buffer, at)):
            at = tag.end()
        self._take(self._base + at, PartKind.ELEMENT if self._depth else PartKind.FOOTER, name)

    def _take(self, end: int, kind: PartKind, name: str = "") -> bytes:
        size = end - self._base
        raw = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._base = end
        if raw:
            self._parts.append(StreamPart(kind, raw, name, self._default if kind is PartKind.ELEMENT else ""))
        return raw


@dataclass(frozen=True, slots=True)
class StanzaElement:
    """An element of a stanza and where it stands in the stanza's bytes."""

    name: str  # local
    namespace: str
    attributes: Mapping[str, str]
    begin: int
    content: int  # where its content begins: `end` for an empty tag
    content_end: int
    end: int


class RelayedStanza:
    """A stanza as it was received; `header` is that of its stream, which declares the namespaces that it inherits."""

    def __init__(self, header: bytes, raw: bytes) -> None:
        self.header, self.raw = header, raw
        self._elements: tuple[StanzaElement, ...] | None = None

    @property
    def elements(self) -> tuple[StanzaElement, ...]:
        """The stanza itself and every element inside, in document order."""
        if self._elements is None:
            self._elements = _find_elements(self.header, self.raw)
        return self._elements

    def attribute(self, name: str) -> str:
        """An attribute of the stanza itself, "" if it has none."""
        return self.elements[0].attributes.get(name, "")

    def find(self, name: str, namespace: str = "") -> list[StanzaElement]:
        """Elements inside it by local name, of any namespace unless one is given."""
        inside = self.elements[1:]
        return [one for one in inside if one.name == name and (not namespace or one.namespace == namespace)]

    def replace(self, element: StanzaElement, xml: str) -> RelayedStanza:
        """The stanza with this XML, or nothing, in the element's place."""
        return self._with(element.begin, element.end, xml.encode())

    def replace_text(self, element: StanzaElement, text: str) -> RelayedStanza:
        """The stanza with this text as the element's content."""
        return self._with_content(element, escape(text).encode())

    def append(self, element: StanzaElement, xml: str) -> RelayedStanza:
        """The stanza with this XML behind all that the element has inside."""
        return self._with_content(element, self.raw[element.content : element.content_end] + xml.encode())

    def substitute(self, element: StanzaElement, old: str, new: str) -> RelayedStanza:
        """The stanza with the text `new` wherever the element's XML has `old` inside."""
        content = self.raw[element.content : element.content_end]
        return self._with_content(element, content.replace(old.encode(), escape(new).encode()))

    def corrupt(self, element: StanzaElement) -> RelayedStanza:
        """The stanza with another letter in the middle of an element that has text alone, such as base64."""
        content = self.raw[element.content : element.content_end]
        letters = [one.start() for one in re.finditer(rb"[A-Za-z0-9]", content)]
        if not letters or b"<" in content or b"&" in content:
            return self
        at = letters[len(letters) // 2]
        other = b"B" if content[at : at + 1] == b"A" else b"A"
        return self._with_content(element, content[:at] + other + content[at + 1 :])

    def _with_content(self, element: StanzaElement, content: bytes) -> RelayedStanza:
        if element.content < element.end:
            return self._with(element.content, element.content_end, content)
        tag = self.raw[element.begin : element.end]  # <body/>
        name = re.match(rb"<([^\s/>]+)", tag)
        assert name is not None
        return self._with(element.begin, element.end, tag[:-2].rstrip() + b">" + content + b"</" + name[1] + b">")

    def _with(self, begin: int, end: int, new: bytes) -> RelayedStanza:
        return RelayedStanza(self.header, self.raw[:begin] + new + self.raw[end:])


def _find_elements(header: bytes, raw: bytes) -> tuple[StanzaElement, ...]:
    found: list[StanzaElement | None] = []
    opened: list[tuple[int, str, dict[str, str], int, int]] = []
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)

    def start(name: str, attributes: dict[str, str]) -> None:
        begin = parser.CurrentByteIndex - len(header)
        tag = _TAG.match(raw, begin) if begin >= 0 else None
        opened.append((len(found), name, attributes, begin, tag.end() if tag else 0))
        found.append(None)

    def end(_: str) -> None:
        place, name, attributes, begin, content = opened.pop()
        if raw[content - 2 : content] == b"/>":
            content_end = last = content
        else:
            content_end = parser.CurrentByteIndex - len(header)
            tag = _TAG.match(raw, content_end)
            assert tag is not None
            last = tag.end()
        namespace, _, local = name.rpartition(_SEPARATOR)
        found[place] = StanzaElement(local, namespace, attributes, begin, content, content_end, last)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(header + raw, False)
    return tuple(one for one in found if one is not None)  # the stream's own element is not closed
