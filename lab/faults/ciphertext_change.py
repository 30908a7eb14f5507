"""`modify_ciphertext`: what is encrypted is changed on a link, or between a device and its server (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.ciphertext_change import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def modify_ciphertext(link: LinkLike | Device, *, direction: str = "both") -> InjectedFault | InterceptedDevice:
    """Change a letter of what is encrypted in messages, of OMEMO (XEP-0384) and of OTR.

    Raises UserError for each wrong field.
    """
    return of_stanzas(DECLARATION, link, {"direction": direction})
