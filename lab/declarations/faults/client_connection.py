"""`client`: the connection of a device is lost, and comes back."""

from __future__ import annotations

from typing import Any

from lab.declarations.fault import FaultDeclaration, FaultField, acts_on_no_route
from lab.errors import UserError


def _device(value: Any) -> Any:
    if not callable(getattr(value, "drop_connection", None)) or not hasattr(value, "resumable"):
        raise UserError(f"{value!r} is no device: give person.device, or one of person.devices")
    return value


def _jid(device: Any) -> str:
    return str(device.jid)


DECLARATION = FaultDeclaration(
    name="client",
    about="A device loses its connection: it is reset, and the stream is not closed.",
    fields=(FaultField(name="device", about="The device.", read=_device, plain=_jid),),
    acts_on=acts_on_no_route,
)
