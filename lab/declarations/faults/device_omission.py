"""`withhold-device-list`: a server hands out somebody's device list without one of their devices."""

from __future__ import annotations

from typing import Any

from lab.declarations.device_owner import AT, OF, get_jid
from lab.declarations.fault import FaultDeclaration, FaultField, acts_on_no_route
from lab.errors import UserError


def _read_device(value: Any) -> Any:
    if getattr(value, "omemo_device", None) is None or not hasattr(value, "resource"):
        raise UserError(f"{value!r} is no device with OMEMO: give one of the person's devices")
    return value


DECLARATION = FaultDeclaration(
    name="withhold-device-list",
    about="A server hands out somebody's device list as it was without one of their devices.",
    fields=(
        AT,
        OF,
        FaultField(name="device", about="The device that is missing.", read=_read_device, plain=get_jid),
    ),
    acts_on=acts_on_no_route,
)
