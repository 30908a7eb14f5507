"""`strip-encryption`: what is encrypted is taken out of messages, so that their fallback text is all that arrives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import DIRECTION, FaultDeclaration, FaultTarget, Targets, acts_on_no_route
from lab.declarations.stanza_rules import StanzaRule

#: What stands in the place of a message of OTR, which has no other text than the ciphertext.
TEXT = "This message was encrypted with OTR."

#: The element of OMEMO (XEP-0384, every version), and the mark of XEP-0380 that says that there is one; the whole text
#: of a message of OTR, version 3 or 2.
RULES = (
    StanzaRule(action="remove", stanza="message", element="encrypted"),
    StanzaRule(action="remove", stanza="message", element="encryption", namespace="urn:xmpp:eme:0"),
    *(
        StanzaRule(action="replace", stanza="message", element="body", contains=data, text=TEXT)
        for data in ("?OTR:AAMD", "?OTR:AAID")
    ),
)


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    return [Interception(source, target, DECLARATION.name, RULES) for source, target in targets]


DECLARATION = FaultDeclaration(
    name="strip-encryption",
    about="What is encrypted is taken out of messages on links; their fallback text is all that arrives.",
    fields=(DIRECTION,),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
