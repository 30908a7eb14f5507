"""Contacts: what people said of each other's presence, and what rosters made of it (RFC 6121 section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.history.events import AccountDeleted, DeviceSaw, RosterRead, SubscriptionSent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

NOBODY = ("none", "")
ANSWERS = ("subscribed", "unsubscribed")


@dataclass(frozen=True)
class Contact:
    """One person's subscription to another's presence, as both rosters have it at last."""

    person: str  # bare JID of who wants to see the other
    other: str  # bare JID of the other
    sees: bool  # by the roster of `person`: "to" or "both"
    asks: bool  # by the roster of `person`: its request is not answered
    seen: bool  # by the roster of `other`: "from" or "both"


def find_contacts(record: RunRecord) -> Iterator[Contact]:
    """Each subscription that two people of the run spoke of, both of whose rosters were read afterwards.

    Whose account was deleted has no roster any more.
    """
    deleted = {one.person for one in record.of(AccountDeleted)}
    rosters = {person: read for person, read in _read_last(record).items() if person not in deleted}
    for person, other in _pairs(record):
        said = _said(record, person, other)[-1][0]
        if all(one in rosters and rosters[one][0] > said for one in (person, other)):
            own, theirs = rosters[person][1].get(other, NOBODY), rosters[other][1].get(person, NOBODY)
            yield Contact(
                person, other, sees=own[0] in ("to", "both"), asks=bool(own[1]), seen=theirs[0] in ("from", "both")
            )


def get_wish(record: RunRecord, person: str, other: str) -> bool | None:
    """Whether `person` should see `other`, by what both said; None if that does not follow.

    A request and then its grant: True. Whoever gave it up, refused or withdrew it last: False.
    """
    asked, wish = False, None
    for _, one in _said(record, person, other):
        if one.type in ("unsubscribe", "unsubscribed"):
            asked, wish = False, False
        elif one.type == "subscribe":  # one that was granted before may be so at once (section 3.4)
            asked, wish = True, None if wish is not True else True
        else:
            wish = True if asked else None
    return wish


def was_told(record: RunRecord, person: str, sender: str, kind: str) -> bool:
    """Whether a device of a person received a presence of this type of the sender's."""
    return any(
        (one.name, one.direction, one.type) == ("presence", "in", kind)
        and strip_resource(one.device) == person
        and strip_resource(one.sender or "") == sender
        for one in record.of(DeviceSaw)
    )


def get_last_word(record: RunRecord, person: str, other: str) -> SubscriptionSent:
    """The last that one of the two said of the subscription of `person` to `other`."""
    return _said(record, person, other)[-1][1]


def _said(record: RunRecord, person: str, other: str) -> list[tuple[int, SubscriptionSent]]:
    """What was said of it, with its places: requests by the one, answers by the other."""
    return [(place, one) for place, one in record.indexed(SubscriptionSent) if _pair(one) == (person, other)]


def _pair(one: SubscriptionSent) -> tuple[str, str]:
    """(who wants to see, whom)."""
    return (one.contact, one.person) if one.type in ANSWERS else (one.person, one.contact)


def _pairs(record: RunRecord) -> list[tuple[str, str]]:
    """Every subscription that was spoken of, among people of the run."""
    pairs = dict.fromkeys(_pair(one) for one in record.of(SubscriptionSent))
    return [pair for pair in pairs if record.people >= set(pair)]


def _read_last(record: RunRecord) -> dict[str, tuple[int, dict[str, tuple[str, str]]]]:
    """The last roster of each person, with its place: subscription and ask by bare JID."""
    return {
        one.person: (place, {jid: (subscription, ask) for jid, subscription, ask in one.items})
        for place, one in record.indexed(RosterRead)
    }
