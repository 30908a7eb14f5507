"""`intercept`: rules act on the stanzas of links. The attacks are rules of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import (
    DIRECTION,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Plain,
    Targets,
    acts_on_no_route,
)
from lab.declarations.stanza_rules import RULES_SCHEMA, StanzaRule, read_name, read_rules


def _plain(rules: tuple[StanzaRule, ...]) -> Plain:
    return "; ".join(rule.describe() for rule in rules)


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    return [
        Interception(source, target, values["attack"] or DECLARATION.name, values["rules"])
        for source, target in targets
    ]


DECLARATION = FaultDeclaration(
    name="intercept",
    about="Rules act on the stanzas of links.",
    fields=(
        DIRECTION,
        FaultField(
            name="rules",
            about="A list of rules: which stanzas, and what becomes of them.",
            read=read_rules,
            plain=_plain,
            schema=RULES_SCHEMA,
        ),
        FaultField(
            name="attack",
            about="What histories call it.",
            read=read_name,
            default="",
            schema={"type": "string"},
        ),
    ),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
