"""`drop-stanzas`: stanzas vanish on links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import DIRECTION, FaultDeclaration, FaultTarget, Targets, acts_on_no_route
from lab.declarations.stanza_rules import StanzaRule
from lab.declarations.stanza_selection import ELEMENT, NTH, STANZA, read_selection


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    rule = StanzaRule(action="drop", **read_selection(values))
    return [Interception(source, target, DECLARATION.name, (rule,)) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="drop-stanzas",
    about="Stanzas vanish on links; both servers believe that they arrived.",
    fields=(DIRECTION, STANZA, ELEMENT, NTH),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
