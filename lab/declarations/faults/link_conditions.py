"""A link gets other conditions than the topology says: the fields are those of links, and the loss of packets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations import units
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


_LOSS = FaultField(
    name="loss",
    about="Share of the packets that is lost each way, by lot: 5%. Only with processes, as root, with nft.",
    read=lambda value: UNCHANGED if value is UNCHANGED else units.parse_share(value),
    default=UNCHANGED,
    schema={"type": "string", "pattern": units.SHARE_PATTERN, "examples": ["5%"]},
    drops_packets=True,
)
_FIELDS = (*(_link_field(field) for field in LINK_FIELDS), _LOSS)


def _changes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {one.name: values[one.name] for one in LINK_FIELDS if values[one.name] is not UNCHANGED}


def _check(values: Mapping[str, Any]) -> tuple[str, str] | None:
    changes = _changes(values)
    if all(values[one.name] is UNCHANGED for one in _FIELDS):
        return "", f"says nothing of the link: give one of {', '.join(one.name for one in _FIELDS)}"
    for field in LINK_FIELDS:
        if {field.name, field.at_most} <= changes.keys() and changes[field.name] > changes[field.at_most]:
            return field.name, f"is larger than {field.at_most}: {field.reason}"
    return None


def _effects(values: Mapping[str, Any], targets: Targets) -> list[LinkImpairment]:
    changes, loss = _changes(values), 0.0 if values["loss"] is UNCHANGED else values["loss"]
    return [LinkImpairment(source, target, changes=changes, loss=loss) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="conditions",
    about="Links have other conditions than the topology gives them.",
    fields=(DIRECTION, *_FIELDS),
    acts_on=acts_on_links,
    target=FaultTarget.LINKS,
    effects=_effects,
    check=_check,
)
