"""`swap-bundle`: a server hands out keys of its own as somebody's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.declarations.device_owner import AT, OF, read_owner
from lab.declarations.fault import FaultDeclaration, acts_on_no_route
from lab.errors import UserError


def _owner(value: Any) -> Any:
    if getattr(value, "encryption", "") == "otr" and getattr(value, "devices", ()):
        return value
    person = read_owner(value)
    if (used := getattr(person, "encryption", "omemo")) not in ("omemo", "omemo:2"):
        raise UserError(f"{value} uses {used!r}, and keys of one version of OMEMO are swapped: 'omemo' or 'omemo:2'")
    return person


DECLARATION = FaultDeclaration(
    name="swap-bundle",
    about="A server hands out keys of its own as somebody's, reads what is encrypted to them, and passes it on.",
    fields=(AT, replace(OF, about="Whose keys: a person of that server.", read=_owner)),
    acts_on=acts_on_no_route,
)
