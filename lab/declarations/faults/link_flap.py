"""`flap`: links are cut and come back, again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import LinkImpairment
from lab.declarations.fault import (
    DURATION_SCHEMA,
    HOW,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Targets,
    acts_on_links,
)
from lab.declarations.units import parse_duration
from lab.errors import UserError

SHORTEST = 0.05  # seconds: what is shorter is over before a relay has ended the connections


def _span(value: Any) -> float:
    read = parse_duration(value)
    if read < SHORTEST:
        raise UserError(f"{value} is too short: use at least 50ms")
    return read


def _effects(values: Mapping[str, Any], targets: Targets) -> list[LinkImpairment]:
    return [LinkImpairment(source, target, cut=values["how"]) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="flap",
    about="Links are cut and come back, in turn, for as long as it lasts.",
    fields=(
        FaultField(name="down", about="How long they are cut.", read=_span, unit="s", schema=DURATION_SCHEMA),
        FaultField(name="up", about="How long they are up in between.", read=_span, unit="s", schema=DURATION_SCHEMA),
        HOW,
    ),
    acts_on=acts_on_links,
    target=FaultTarget.LINKS,
    effects=_effects,
    pulses=lambda values: (values["down"], values["up"]),
)
