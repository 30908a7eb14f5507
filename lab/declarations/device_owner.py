"""The fields of attacks by which a server deceives others about the keys of one of its people."""

from __future__ import annotations

from typing import Any

from lab.declarations.fault import FaultField, read_server_name
from lab.errors import UserError


def read_owner(value: Any) -> Any:
    """A person whose devices have OMEMO. Raises UserError."""
    devices = getattr(value, "devices", None)
    if not devices or not hasattr(value, "jid"):
        raise UserError(f"{value!r} is nobody with devices: give a person")
    if any(getattr(one, "omemo_device", None) is None for one in devices):
        raise UserError(f"{value} has a device without OMEMO: give a person with `encryption='omemo'`")
    return value


def get_jid(one: Any) -> str:
    """The address of a person or a device, as histories have it."""
    return str(one.jid)


AT = FaultField(name="at", about="The server.", read=read_server_name)
OF = FaultField(name="of", about="A person of that server, whose devices have OMEMO.", read=read_owner, plain=get_jid)
