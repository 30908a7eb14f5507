"""`downgrade`: a weaker encryption is used, or would be none, as offers of a stronger one are taken out on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lab.declarations.effects import Interception
from lab.declarations.fault import (
    DIRECTION,
    FaultDeclaration,
    FaultField,
    FaultTarget,
    Targets,
    acts_on_no_route,
    one_of,
)
from lab.declarations.stanza_rules import StanzaRule

#: What OTR puts behind a text in the clear to offer itself: what begins it, version 2, version 3.
_TAG, _TAG_2, _TAG_3 = " \t  \t\t\t\t \t \t \t  ", "  \t\t  \t ", "  \t\t  \t\t"


def _empty_lists(element: str, namespace: str) -> StanzaRule:
    """Device lists of a version of OMEMO, asked for or pushed, have no devices."""
    return StanzaRule(action="replace", element=element, namespace=namespace, text="")


def _substitute(old: str, new: str) -> StanzaRule:
    return StanzaRule(action="substitute", stanza="message", element="body", contains=old, text=new)


_WITHOUT_OMEMO_2 = _empty_lists("devices", "urn:xmpp:omemo:2")
#: What is done, by what is left.
RULES: Mapping[str, tuple[StanzaRule, ...]] = {
    "omemo": (_WITHOUT_OMEMO_2,),
    "otr:2": (
        *(_substitute(offer, "?OTRv2?") for offer in ("?OTRv23?", "?OTR?v23?", "?OTRv3?")),
        _substitute(_TAG_3, ""),
    ),
    "plain": (
        _WITHOUT_OMEMO_2,
        _empty_lists("list", "eu.siacs.conversations.axolotl"),
        *(StanzaRule(action="drop", stanza="message", element="body", contains=offer) for offer in ("?OTRv", "?OTR?")),
        *(_substitute(tag, "") for tag in (_TAG, _TAG_2, _TAG_3)),
    ),
}


def _effects(values: Mapping[str, Any], targets: Targets) -> list[Interception]:
    found = [
        Interception(source, target, DECLARATION.name, tuple(_rules(values["to"], source, target)))
        for source, target in targets
    ]
    return [one for one in found if one.rules]


def _rules(to: str, source: str, target: str) -> Iterator[StanzaRule]:
    """The rules for this way. A client's own lists stay: it publishes them anew as long as its server has none."""
    client = next((end for end in (source, target) if "/" in end), "")
    for rule in RULES[to]:
        if not client or rule.element == "body":
            yield rule
        elif client == target:
            yield replace(rule, except_sender=client.partition("/")[0])


DECLARATION = FaultDeclaration(
    name="downgrade",
    about="Who offers a stronger encryption is not heard on links, so that a weaker one is used.",
    fields=(
        DIRECTION,
        FaultField(
            name="to",
            about="What is left: version 0.3 of OMEMO (omemo), version 2 of OTR (otr:2), nothing (plain).",
            read=one_of(*RULES),
            schema={"enum": list(RULES)},
        ),
    ),
    acts_on=acts_on_no_route,
    target=FaultTarget.LINKS,
    effects=_effects,
)
