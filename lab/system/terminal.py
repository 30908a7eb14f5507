"""Text of others, shown so that it acts on nothing: neither on a terminal, nor on the page or drawing that quotes it.

Names, titles, log lines, errors of servers and stanzas come from files and peers that may write anything. A control
character in them would move the cursor, change the window's title or hide what follows; half a surrogate pair cannot be
written at all; marks of writing direction show a text in another order than it has.
"""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL, C1, marks and overrides of direction, line and paragraph separator, halves of surrogate
# pairs, and what XML forbids beside them.
_ACTING = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def escape_unprintable(text: str) -> str:
    """The text with every character that acts on a terminal written out as in Python: ``\\x1b``, ``\\u202e``."""
    return _ACTING.sub(lambda found: _written(ord(found[0])), text)


def _written(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
