"""`phantom-device`: a server puts a device of its own into somebody's device list."""

from __future__ import annotations

from lab.declarations.device_owner import AT, OF
from lab.declarations.fault import FaultDeclaration, acts_on_no_route

DECLARATION = FaultDeclaration(
    name="phantom-device",
    about="A server puts a device of its own into somebody's device list, and reads what is encrypted for it.",
    fields=(AT, OF),
    acts_on=acts_on_no_route,
)
