"""Streams of XML, cut into stanzas, at the least cost per message.

Of a message only the id is kept, which holds its mark (see lab.load.client.stanzas). Everything else, errors included,
becomes a small tree. A message is handed on at its end, when a client could show it.

Expat costs most of it: each stream has a parser of its own, which is never in the processor's cache. So a message that
comes whole and in the plain form in which servers write those of the engine is recognised by a pattern; all else, and
whatever follows it up to the end of its piece, is expat's. Nothing is ever guessed: the pattern holds no entities, no
nested elements of one name, nothing but printable ASCII, and is only asked between two stanzas.

One parser reads one stream; after STARTTLS and after SASL a new stream begins (RFC 6120 section 4.3.3).
Names keep their prefixes ("stream:features"): every server in use writes them so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.parsers import expat

from lab.errors import PeerError

#: Elements inside each other: a stanza deeper than this is an attack or a mistake.
DEEPEST = 64


#: Printable ASCII without "&" and "<", in either kind of quotes. A run of characters that can end in one way only is
#: never tried again ("*+", "++"); no group is repeated so, since Python 3.11.4 and older match those wrongly.
_VALUE = rb"""(?:'[ -%(-;=-~]*+'|"[ !#-%'-;=-~]*+")"""
_IDENTITY = rb"""(?:'([ -%(-;=-~]*+)'|"([ !#-%'-;=-~]*+)")"""
_TEXT = rb"[ -%'-;=-~]*+"
#: Elements without elements in them, as a body and the identifiers of an archive are.
_CHILD = rb"<([a-z-]++)(?: [a-z:]++=" + _VALUE + rb")*(?:/>|>" + _TEXT + rb"</\3>)"
#: A message that is no error; its first or second group is its id, the third a child's name.
_PLAIN = re.compile(
    rb"<message(?: (?:id="
    + _IDENTITY
    + rb"|(?!id=|type=.error)[a-z:]++="
    + _VALUE
    + rb"))*>(?:"
    + _CHILD
    + rb")*</message>"
)
#: Bytes after which a stream is between two stanzas, if no stanza is open: "<" stands in no value and in no text.
_ENDS = (b"</message>", b"</presence>", b"</iq>", b"<r xmlns='urn:xmpp:sm:3'/>")
_LONGEST_END = max(map(len, _ENDS))


class Element:
    """An element: `name` as written, attributes, children, text."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""

    def find(self, name: str) -> Element | None:
        """The first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def walk(self) -> Iterator[Element]:
        """The element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __repr__(self) -> str:
        inside = self.text or "".join(map(repr, self.children))
        return f"<{self.name} {self.attributes}>{inside}</{self.name}>"[:300]


class Parser:
    """Feeds on bytes as they come; calls `on_message(id)`, `on_element(element)`, at the end `on_close`.

    A message without an id has "". `on_element` gets all that is no message: negotiation, presence, iq, errors.
    """

    __slots__ = ("_between", "_depth", "_expat", "_message", "_on_close", "_on_element", "_on_message", "_stack")

    def __init__(
        self,
        on_message: Callable[[str], None],
        on_element: Callable[[Element], None],
        on_close: Callable[[], None],
    ) -> None:
        self._on_message, self._on_element, self._on_close = on_message, on_element, on_close
        self._depth = 0
        self._between = False  # two stanzas, for certain
        self._message: str | None = None  # the id of the one that is open
        self._stack: list[Element] = []
        parser = self._expat = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = _refused
        if defer := getattr(parser, "SetReparseDeferralEnabled", None):
            defer(False)  # expat 2.6 would hold back a stanza whose tag came in two parts until more arrives

    def feed(self, data: bytes | memoryview) -> None:
        """Take what has arrived. Raises PeerError for what is not a stream of XML."""
        at, size = 0, len(data)
        while self._between and (plain := _PLAIN.match(data, at)):
            at = plain.end()
            identity = plain[1] or plain[2]
            self._on_message(identity.decode() if identity else "")
            if at == size:
                return
        data = data[at:]
        try:
            self._expat.Parse(data, False)
        except expat.ExpatError as error:
            raise PeerError(f"not XML: {error}: {bytes(data[:200])!r}") from error
        open_stanza = self._depth != 1 or self._message is not None or self._stack
        self._between = not open_stanza and bytes(data[-_LONGEST_END:]).endswith(_ENDS)

    def redirect(self, on_message: Callable[[str], None], on_element: Callable[[Element], None]) -> None:
        """Negotiation is over: hand on to these."""
        self._on_message, self._on_element = on_message, on_element

    def close(self) -> None:
        """Let go of everything; nothing is handed on any more, not even of the bytes being read."""
        self._on_message = self._on_element = _nothing
        parser = self._expat
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None
        parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = self._depth
        self._depth = depth + 1
        if depth == 1:
            if name == "message" and attributes.get("type") != "error":
                self._message = attributes.get("id", "")
            else:
                self._stack.append(Element(name, attributes))
                self._expat.CharacterDataHandler = self._text  # only here: one call less per message
        elif depth > 1:
            if depth > DEEPEST:
                raise PeerError(f"a stanza of more than {DEEPEST} levels")
            if self._message is None:
                element = Element(name, attributes)
                self._stack[-1].children.append(element)
                self._stack.append(element)

    def _end(self, _name: str) -> None:
        depth = self._depth = self._depth - 1
        if self._message is not None:
            if depth == 1:
                message, self._message = self._message, None
                self._on_message(message)
        elif depth:
            element = self._stack.pop()
            if depth == 1:
                self._expat.CharacterDataHandler = None
                self._on_element(element)
        else:
            self._on_close()

    def _text(self, data: str) -> None:
        self._stack[-1].text += data


def _nothing(_: object) -> None:
    """For what comes after the end."""


def _refused(*_: object) -> None:
    raise PeerError("the server sends a comment, an instruction or a document type: RFC 6120 section 11.1 forbids it")
