"""Servers are cut from each other: no stanza passes between groups of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import LinkImpairment
from lab.declarations.fault import (
    HOW,
    SERVERS_SCHEMA,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Plain,
    Targets,
    read_server_names,
)
from lab.errors import UserError


def _groups(value: Any) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{value!r} are no groups: write `groups: [[a, b], [c]]`")
    groups = tuple(map(read_server_names, value))
    if not groups:
        raise UserError("names no group: give at least one list of servers, which is cut from all others")
    named = [name for group in groups for name in group]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise UserError(f"{', '.join(twice)} cannot be in two groups")
    return groups


def _plain(groups: tuple[tuple[str, ...], ...]) -> str:
    return " | ".join(" ".join(group) for group in groups)


def _acts_on(fields: Mapping[str, Plain], a: str, b: str) -> bool:
    """Between servers of two groups; those that are in none are one more."""
    groups = [group.split() for group in str(fields.get("groups", "")).split("|")]
    return _group(groups, a) != _group(groups, b)


def _group(groups: list[list[str]], server: str) -> int:
    return next((place for place, group in enumerate(groups) if server in group), -1)


def _effects(values: Mapping[str, Any], targets: Targets) -> list[LinkImpairment]:
    return [LinkImpairment(source, target, cut=values["how"]) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="partition",
    about="Groups of servers are cut from each other; servers in no group form one more group.",
    fields=(
        FaultField(
            name="groups",
            about="Lists of servers: no stanza passes from one list to another.",
            read=_groups,
            plain=_plain,
            schema={"type": "array", "items": SERVERS_SCHEMA, "minItems": 1},
        ),
        HOW,
    ),
    acts_on=_acts_on,
    target=FaultTarget.GROUPS,
    effects=_effects,
)
