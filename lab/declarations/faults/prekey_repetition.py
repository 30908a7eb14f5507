"""`stale-prekey`: a server hands out the same old prekey of somebody's to everybody."""

from __future__ import annotations

from lab.declarations.device_owner import AT, OF
from lab.declarations.fault import FaultDeclaration, acts_on_no_route

DECLARATION = FaultDeclaration(
    name="stale-prekey",
    about="A server hands out the same old prekey of somebody's to everybody who begins a session.",
    fields=(AT, OF),
    acts_on=acts_on_no_route,
)
