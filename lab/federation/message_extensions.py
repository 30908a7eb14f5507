"""Elements that messages carry beside their text, as XML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

CORRECTION = "urn:xmpp:message-correct:0"
RECEIPTS = "urn:xmpp:receipts"
CARBONS = "urn:xmpp:carbons:2"
HINTS = "urn:xmpp:hints"


def build_message_extensions(corrects: str, receipt: bool, private: bool, others: Sequence[str]) -> list[str]:
    """The elements for a correction of the message with that id, a request for a receipt, no carbon copies, and others.

    XEP-0308 section 3, XEP-0184 section 5, XEP-0280 section 9 (with the hint of XEP-0334 section 4.2).
    """
    found = [f"<replace xmlns='{CORRECTION}' id={quoteattr(corrects)}/>"] if corrects else []
    if receipt:
        found.append(f"<request xmlns='{RECEIPTS}'/>")
    if private:
        found += [f"<private xmlns='{CARBONS}'/>", f"<no-copy xmlns='{HINTS}'/>"]
    return [*found, *others]
