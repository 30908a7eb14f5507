"""`modify-ciphertext`: what is encrypted is changed on links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import DIRECTION, FaultDeclaration, FaultTarget, Targets, acts_on_no_route
from lab.declarations.stanza_rules import StanzaRule

#: The payload of OMEMO (XEP-0384, every version), and the text of a data message of OTR, version 3 or 2.
RULES = (
    StanzaRule(action="corrupt", stanza="message", element="payload"),
    *(
        StanzaRule(action="corrupt", stanza="message", element="body", contains=data)
        for data in ("?OTR:AAMD", "?OTR:AAID")
    ),
)


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    return [Interception(source, target, DECLARATION.name, RULES) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="modify-ciphertext",
    about="A letter of what is encrypted is changed in messages on links.",
    fields=(DIRECTION,),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
