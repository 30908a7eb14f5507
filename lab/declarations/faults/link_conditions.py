"""A link gets other conditions than the topology says: each link field is a field of this fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.fault import FaultDeclaration, FaultField, Plain, one_of, server_name
from lab.declarations.links import LINK_FIELDS, LinkField
from lab.errors import UserError

#: A field that is not given: its value does not change.
UNCHANGED = object()


def _ends(value: Any) -> tuple[str, str]:
    ends = (value.source, value.target) if hasattr(value, "source") and hasattr(value, "target") else value
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        raise UserError(f"{value!r} is no link: give federation.link(a, b), or two servers")
    source, target = map(server_name, ends)
    if source == target:
        raise UserError(f"{source} has no link with itself: give two servers")
    return source, target


def _link_field(field: LinkField) -> FaultField:
    return FaultField(
        name=field.name,
        about=field.about.partition(" (default")[0].rstrip(".") + ".",
        read=lambda value: UNCHANGED if value is UNCHANGED else field.read(value),
        unit=field.unit,
        default=UNCHANGED,
    )


def _acts_on(fields: Mapping[str, Plain], a: str, b: str) -> bool:
    """On its link, of whichever direction: a stanza error needs both."""
    return set(str(fields.get("link", "")).split()) == {a, b}


DECLARATION = FaultDeclaration(
    name="conditions",
    about="A link has other conditions than the topology gives it.",
    fields=(
        FaultField(name="link", about="The link.", read=_ends, plain=" ".join),
        FaultField(
            name="direction",
            about="Both directions of the link, or only the one from its first server to the second.",
            read=one_of("both", "forward"),
            default="both",
        ),
        *(_link_field(field) for field in LINK_FIELDS),
    ),
    acts_on=_acts_on,
)
