"""`modify_ciphertext`: what is encrypted is changed on a link (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.ciphertext_change import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def modify_ciphertext(link: LinkLike, *, direction: str = "both") -> InjectedFault:
    """Change a letter of what is encrypted in messages, of OMEMO (XEP-0384) and of OTR.

    Raises UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"direction": direction})
