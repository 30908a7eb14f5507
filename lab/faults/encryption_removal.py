"""`strip_encryption`: what is encrypted is taken out of messages on a link or of a device (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.encryption_removal import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def strip_encryption(link: LinkLike | Device, *, direction: str = "both") -> InjectedFault | InterceptedDevice:
    """Take the encrypted element out of messages, so that their fallback text is all that arrives (XEP-0384, XEP-0380).

    Raises UserError for each wrong field.
    """
    return of_stanzas(DECLARATION, link, {"direction": direction})
