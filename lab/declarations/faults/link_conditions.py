"""A link gets other conditions than the topology says: each link field is a field of this fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import LinkImpairment
from lab.declarations.fault import (
    DIRECTION,
    UNCHANGED,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Targets,
    acts_on_links,
)
from lab.declarations.links import LINK_FIELDS, LinkField

#: What pumba and containerlab call a field.
_ALIASES = {"latency": ("delay",)}


def _link_field(field: LinkField) -> FaultField:
    return FaultField(
        name=field.name,
        about=field.about.partition(" (default")[0].rstrip(".") + ".",
        read=lambda value: UNCHANGED if value is UNCHANGED else field.read(value),
        unit=field.unit,
        default=UNCHANGED,
        aliases=_ALIASES.get(field.name, ()),
        schema=field.schema,
    )


def _changes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: values[one.name] for one in LINK_FIELDS if values[one.name] is not UNCHANGED}


def _check(values: Mapping[str, Any]) -> tuple[str, str] | None:
    changes = _changes(values)
    if not changes:
        return "", f"says nothing of the link: give one of {', '.join(one.name for one in LINK_FIELDS)}"
    for field in LINK_FIELDS:
        if {field.name, field.at_most} <= changes.keys() and changes[field.name] > changes[field.at_most]:
            return field.name, f"is larger than {field.at_most}: {field.reason}"
    return None


def _effects(values: Mapping[str, Any], targets: Targets) -> list[LinkImpairment]:
    return [LinkImpairment(source, target, changes=_changes(values)) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="conditions",
    about="Links have other conditions than the topology gives them.",
    fields=(DIRECTION, *(_link_field(field) for field in LINK_FIELDS)),
    acts_on=acts_on_links,
    target=FaultTarget.LINKS,
    effects=_effects,
    check=_check,
    impossible={
        "loss": "cannot be done: relays carry streams, of which no packet is lost; use `flap`, `partition` or jitter"
    },
)
