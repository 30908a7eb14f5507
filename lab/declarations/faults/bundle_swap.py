"""`swap-bundle`: a server hands out keys of its own as somebody's."""

from __future__ import annotations

from typing import Any

from lab.declarations.fault import FaultDeclaration, FaultField, acts_on_no_route, read_server_name
from lab.errors import UserError


def _person(value: Any) -> Any:
    devices = getattr(value, "devices", None)
    if not devices or not hasattr(value, "jid"):
        raise UserError(f"{value!r} is nobody with devices: give a person")
    if any(getattr(one, "omemo_device", None) is None for one in devices):
        raise UserError(f"{value} has a device without OMEMO: give a person with `encryption='omemo'`")
    if (used := getattr(value, "encryption", "omemo")) != "omemo":
        raise UserError(f"{value} uses {used!r}, and only keys of OMEMO 0.3 are swapped: `encryption='omemo'`")
    return value


def _jid(person: Any) -> str:
    return str(person.jid)


DECLARATION = FaultDeclaration(
    name="swap-bundle",
    about="A server hands out keys of its own as somebody's, reads what is encrypted to them, and passes it on.",
    fields=(
        FaultField(name="at", about="The server.", read=read_server_name),
        FaultField(name="of", about="Whose keys: a person of that server.", read=_person, plain=_jid),
    ),
    acts_on=acts_on_no_route,
)
