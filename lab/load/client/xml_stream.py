"""An incremental parser of XML streams, which splits them into stanzas at the least cost per message.

Of a message only the id is extracted, which has all that is needed (lab.load.model.message_id). Everything else,
errors included, becomes a small tree. A message is reported at its end, when a client could show it.

Expat takes most of the time: each stream has its own parser, which is never in the processor's cache. So a message that
is received whole, and in the plain form in which servers write those of the engine, is recognised by a pattern; expat
parses everything else, and whatever follows it up to the end of the read. Nothing is guessed: the pattern allows no
entities, no nested elements of one name, nothing but printable ASCII, and is tried between two stanzas only.

One parser reads one stream; after STARTTLS and after SASL a new stream begins (RFC 6120 section 4.3.3).
Names keep their prefixes ("stream:features"): all servers in use write them so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.parsers import expat

from lab.errors import PeerError

#: Levels of nested elements: a stanza with more is an attack or a mistake.
DEEPEST = 64

#: Printable ASCII without "&" and "<", in either kind of quotes. Possessive quantifiers ("*+", "++") prevent
#: backtracking; they are not applied to groups, which Python 3.11.4 and older match wrongly.
_VALUE = rb"""(?:'[ -%(-;=-~]*+'|"[ !#-%'-;=-~]*+")"""
_IDENTITY = rb"""(?:'([ -%(-;=-~]*+)'|"([ !#-%'-;=-~]*+)")"""
_TEXT = rb"[ -%'-;=-~]*+"
#: An element without child elements, such as a body or the id that an archive adds.
_CHILD = rb"<([a-z-]++)(?: [a-z:]++=" + _VALUE + rb")*(?:/>|>" + _TEXT + rb"</\3>)"
#: A message of a type other than error; its first or second group is the id, the third a child's name.
_PLAIN = re.compile(
    rb"<message(?: (?:id="
    + _IDENTITY
    + rb"|(?!id=|type=.error)[a-z:]++="
    + _VALUE
    + rb"))*>(?:"
    + _CHILD
    + rb")*</message>"
)
#: Bytes after which a stream is between two stanzas, if no stanza is open: values and texts contain no "<".
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


class StreamParser:
    """Parses bytes as they are received; calls `on_message(id)`, `on_element(element)`, at the end `on_close`.

    A message without an id is reported with "". All that is no message goes to `on_element`: negotiation, presence, iq,
    errors.
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
        self._between = False  # certainly between two stanzas
        self._message: str | None = None  # the id of the message that is open
        self._stack: list[Element] = []
        parser = self._expat = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = parser.CommentHandler = parser.ProcessingInstructionHandler = _refused
        if defer := getattr(parser, "SetReparseDeferralEnabled", None):
            defer(False)  # expat 2.6 would delay a stanza whose tag was received in two parts

    def feed(self, data: bytes | memoryview) -> None:
        """Parse what was received. Raises PeerError for what is not an XML stream."""
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

    def set_handlers(self, on_message: Callable[[str], None], on_element: Callable[[Element], None]) -> None:
        """Call these from now on."""
        self._on_message, self._on_element = on_message, on_element

    def close(self) -> None:
        """Remove all handlers; nothing is reported any more, not even of the bytes that are being parsed."""
        self._on_message = self._on_element = _ignore
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
                self._expat.CharacterDataHandler = self._text  # only here: saves a call per message
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


def _ignore(_: object) -> None:
    """Handles what is received after `close`."""


def _refused(*_: object) -> None:
    raise PeerError("the server sends a comment, an instruction or a document type: RFC 6120 section 11.1 forbids it")
