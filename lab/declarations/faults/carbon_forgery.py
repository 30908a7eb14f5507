"""`forge-carbon`: a server sends somebody copies of messages (XEP-0280) that nobody has sent."""

from __future__ import annotations

from typing import Any

from lab.declarations.device_owner import AT, get_jid
from lab.declarations.fault import FaultDeclaration, FaultField, acts_on_no_route
from lab.errors import UserError


def _read_person(value: Any) -> Any:
    if not hasattr(value, "devices") or not hasattr(value, "jid"):
        raise UserError(f"{value!r} is nobody: give a person")
    return value


DECLARATION = FaultDeclaration(
    name="forge-carbon",
    about="With each message to somebody a server sends a forged carbon copy of one that nobody has sent.",
    fields=(
        AT,
        FaultField(name="to", about="Who gets it: a person of a linked server.", read=_read_person, plain=get_jid),
        FaultField(name="claims", about="Whom it names as the sender: a person.", read=_read_person, plain=get_jid),
    ),
    acts_on=acts_on_no_route,
)
