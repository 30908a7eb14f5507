"""Which characters a stanza can carry (XML 1.0 section 2.2). A server closes the stream over any other one.

So a text with one of them is refused before anything of it is sent: control characters, U+FFFE, U+FFFF, and halves of
surrogate pairs, which UTF-8 cannot write either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lab.errors import UserError

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_text(text: str, what: str) -> None:
    """Raises UserError that names the first character of `text` that XML forbids; `what` is what the text is for."""
    if found := _FORBIDDEN.search(text):
        raise UserError(
            f"{what}: {_place(found)} cannot be in XML (XML 1.0 section 2.2): leave it out, nothing was sent"
        )


def check_raw(text: str, what: str) -> None:
    """Raises UserError for a text that has no bytes in UTF-8. Anything else may be sent as it is, XML or not."""
    if found := _SURROGATE.search(text):
        raise UserError(f"{what}: {_place(found)} cannot be written in UTF-8: leave it out, nothing was sent")


def check_fields(op: str, fields: Mapping[str, Any], raw: frozenset[str]) -> None:
    """`check_text` for each text in the fields of a request, at any depth; `check_raw` for the fields in `raw`."""
    for name, value in fields.items():
        for text in _texts(value):
            (check_raw if name in raw else check_text)(text, f"{op}: {name.rstrip('_')}")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list | tuple) else []


def _place(found: re.Match[str]) -> str:
    return f"U+{ord(found[0]):04X} at position {found.start() + 1}"
