"""Messages that archives must hold (XEP-0313), and which of them do: both people's, or the room's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.history.events import ArchiveRead, DeviceSaw, Sent, ServerEnded
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

# What servers keep of a message of these types (XEP-0313 section 5.1): one with a text, or with the hint to keep it.
_TYPES = (None, "chat", "normal", "groupchat")
_KEPT = re.compile(r"<(?:\w+:)?(?:body|store)\b")
_NOT_KEPT = re.compile(r"<(?:\w+:)?no-(?:permanent-)?store\b")  # XEP-0334 sections 4.1 and 4.2


@dataclass(frozen=True)
class ArchivedCopies:
    """One message: which of the archives that must hold it do, and which do not."""

    sent: Sent
    holding: tuple[str, ...]  # bare JIDs
    lacking: tuple[str, ...]


def find_archived(record: RunRecord) -> list[tuple[Sent, tuple[str, ...]]]:
    """Each delivered message that archives are for, with these: both people's, or the room's, by bare JID.

    Left out is what bounced, what an attack acted on, what its sender asked not to be stored (XEP-0334), and what was
    sent before a server of these archives ended: what that took from one no healing brings back.
    """
    stanzas = _stanzas(record)
    ended = {one.server: place for place, one in record.indexed(ServerEnded)}
    found = []
    for place, sent in record.messages:
        archives = _archives(record, sent)
        stanza = stanzas.get((sent.sender, sent.message))
        if not archives or stanza is None or not _is_kept(stanza):
            continue
        if sent in record.bounces or sent in record.interventions or not record.arrivals(sent):
            continue
        servers = [server.name for one in archives if (server := record.find_server(one))]
        if all(ended.get(server, -1) < place for server in servers):
            found.append((sent, archives))
    return found


def compare_archives(record: RunRecord, since: float) -> Iterator[ArchivedCopies]:
    """Each such message as the archives hold it that were read last, none before `since` (seconds since the epoch).

    Compared are messages of whose archives all were read; what neither of two people's has, servers do not keep.
    """
    read = {one.archive: frozenset(one.messages) for one in record.of(ArchiveRead) if one.at >= since}
    for sent, archives in find_archived(record):
        if any(one not in read for one in archives):
            continue
        holding = tuple(one for one in archives if sent.message in read[one])
        if holding or sent.room:
            yield ArchivedCopies(sent, holding, tuple(one for one in archives if one not in holding))


def _archives(record: RunRecord, sent: Sent) -> tuple[str, ...]:
    """Bare JIDs of the archives for a message: () if not each of their servers has archives."""
    people = dict.fromkeys((strip_resource(sent.sender), strip_resource(sent.receiver)))
    if not sent.room and (len(people) < 2 or not record.people.issuperset(people)):
        return ()
    archives = (strip_resource(sent.receiver),) if sent.room else tuple(people)
    servers = [record.find_server(one) for one in archives]
    return archives if all(server is not None and server.has("mam") for server in servers) else ()


def _stanzas(record: RunRecord) -> dict[tuple[str, str | None], DeviceSaw]:
    """What devices sent, by their full JIDs and the ids of the messages."""
    sent = (one for one in record.of(DeviceSaw) if (one.name, one.direction) == ("message", "out") and one.id)
    return {(one.device, one.id): one for one in sent}


def _is_kept(stanza: DeviceSaw) -> bool:
    text = stanza.stanza
    return stanza.type in _TYPES and bool(_KEPT.search(text)) and not _NOT_KEPT.search(text)
