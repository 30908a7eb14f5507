"""`reorder`: stanzas of one conversation change places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import DIRECTION, FaultDeclaration, FaultTarget, Targets, acts_on_no_route
from lab.declarations.stanza_rules import StanzaRule
from lab.declarations.stanza_selection import ELEMENT, STANZA


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    rule = StanzaRule(action="reorder", stanza=values["stanza"], element=values["element"])
    return [Interception(source, target, DECLARATION.name, (rule,)) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="reorder",
    about="Of each two stanzas from one person to another the second arrives first.",
    fields=(DIRECTION, STANZA, ELEMENT),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
