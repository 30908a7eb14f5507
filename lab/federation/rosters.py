"""Rosters as servers give them (RFC 6121 section 2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

ROSTER = "jabber:iq:roster"

#: Values of a subscription (RFC 6121 section 2.1.2.5).
SUBSCRIPTIONS = ("none", "to", "from", "both")


@dataclass(frozen=True)
class RosterItem:
    """A contact in somebody's roster (RFC 6121 section 2.1.2)."""

    jid: str  # bare JID
    subscription: str  # "none", "to" (the owner sees the contact), "from" (the contact sees the owner), "both"
    ask: str = ""  # "subscribe": the owner's request is not answered yet
    name: str = ""
    approved: bool = False  # the owner has approved a request that has not arrived yet (section 3.4)


def absent(jid: str) -> RosterItem:
    """The item of somebody who is not in the roster."""
    return RosterItem(jid, "none")


def read_roster(answer: ET.Element) -> dict[str, RosterItem]:
    """The items in a server's answer, by bare JID."""
    items = answer.iterfind(f"{{{ROSTER}}}query/{{{ROSTER}}}item")
    return {
        one.get("jid", ""): RosterItem(
            one.get("jid", ""),
            one.get("subscription", "none"),
            one.get("ask", ""),
            one.get("name", ""),
            one.get("approved") in ("true", "1"),
        )
        for one in items
    }


def find_differences(roster: Mapping[str, RosterItem], expected: Mapping[str, str]) -> list[str]:
    """A sentence for each contact whose subscription is another one; one who is missing has "none"."""
    found = {jid: roster.get(jid, absent(jid)) for jid in expected}
    return [
        f"{jid}: subscription {item.subscription}{f', ask {item.ask}' if item.ask else ''}, not {expected[jid]}"
        for jid, item in found.items()
        if item.subscription != expected[jid]
    ]
