"""`downgrade`: what offers a stronger encryption is taken out on a link or of a device (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.encryption_downgrade import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def downgrade(link: LinkLike | Device, *, to: str, direction: str = "both") -> InjectedFault | InterceptedDevice:
    """Take out what offers a stronger encryption: device lists of OMEMO (XEP-0384), offers of OTR.

    `to` is what is left: "omemo" (version 0.3, nothing of version 2), "otr:2" (no version 3) or "plain" (nothing).
    `direction` is that of the offers. Raises UserError for each wrong field.
    """
    return of_stanzas(DECLARATION, link, {"direction": direction, "to": to})
