"""`strip_encryption`: what is encrypted is taken out of messages on a link (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.encryption_removal import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def strip_encryption(link: LinkLike, *, direction: str = "both") -> InjectedFault:
    """Take the encrypted element out of messages, so that their fallback text is all that arrives (XEP-0384, XEP-0380).

    Raises UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"direction": direction})
