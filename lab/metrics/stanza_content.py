"""What a server could read of a stanza that it reported, in a few words."""

from __future__ import annotations

import re

from lab.declarations.encryptions import find_by_namespace
from lab.history.events import ServerSaw

LONGEST_TEXT = 60  # characters of a body that are shown

_BODY = re.compile(r"<body(?:\s[^>]*)?>(.*?)</body>", re.DOTALL)
_CONDITION = re.compile(r"<([a-z-]+)\s[^>]*urn:ietf:params:xml:ns:xmpp-stanzas")
_PAYLOAD = re.compile(r"<(?:iq|message|presence)\b[^>]*>\s*<([\w:.-]+)(?:\s[^>]*?xmlns=['\"]([^'\"]*)['\"])?")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}


def describe_content(event: ServerSaw) -> str:
    """What the server could read of it: the text, the name of its encryption, an error's condition, its payload."""
    xml = event.stanza or ""
    if event.type == "error":
        return next(iter(_CONDITION.findall(xml)), "")
    if event.encryption:
        declared = find_by_namespace(event.encryption)
        return f"[{declared.name if declared else event.encryption}]"
    if event.body and (body := read_body(event)) is not None:
        text = body.replace("\n", " ")
        return repr(text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…")
    payload = _PAYLOAD.search(xml)
    return "" if payload is None else f"<{payload[1]}>" + (f" {payload[2]}" if payload[2] else "")


def read_body(event: ServerSaw) -> str | None:
    """The body of a message in the clear (RFC 6121 section 5.2.3), None if it has none or it is not known."""
    found = _BODY.search(event.stanza or "")
    return found and re.sub("&(?:lt|gt|quot|apos|amp);", lambda one: _ENTITIES[one[0]], found[1])
