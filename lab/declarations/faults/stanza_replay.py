"""`replay`: stanzas arrive more than once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import DIRECTION, FaultDeclaration, FaultField, FaultTarget, Targets, acts_on_no_route
from lab.declarations.stanza_rules import StanzaRule, read_count
from lab.declarations.stanza_selection import ELEMENT, NTH, STANZA, read_selection


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    rule = StanzaRule(action="repeat", times=values["times"], **read_selection(values))
    return [Interception(source, target, DECLARATION.name, (rule,)) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="replay",
    about="Stanzas arrive more than once over links.",
    fields=(
        DIRECTION,
        STANZA,
        ELEMENT,
        NTH,
        FaultField(
            name="times",
            about="How many more copies arrive.",
            read=read_count,
            default=1,
            schema={"type": "integer", "minimum": 1},
        ),
    ),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
