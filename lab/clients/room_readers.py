"""Who is to read an encrypted message in a room: its occupants, members, admins and owners (XEP-0384 section 5.8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from xml.etree import ElementTree as ET

from lab.clients.rooms import (
    MEMBERS_ONLY,
    NON_ANONYMOUS,
    READERS,
    JoinedRoom,
    build_info_query,
    build_members_query,
    read_features,
    read_members,
)
from lab.clients.xmpp.client_stream import Refused
from lab.errors import PeerError

Ask = Callable[[str, ET.Element, str], Awaitable[ET.Element]]  # type, payload and receiver of an IQ


async def find_readers(ask: Ask, joined: JoinedRoom) -> set[str]:
    """Their real bare JIDs, asked afresh.

    Raises PeerError for a room that is semi-anonymous, or for members only and does not say who they are.
    """
    room = joined.jid
    info, *lists = await asyncio.gather(
        ask("get", build_info_query(), room),
        *(ask("get", build_members_query(affiliation), room) for affiliation in READERS),
        return_exceptions=True,
    )
    features = read_features(_answered(info))
    if NON_ANONYMOUS not in features:
        raise PeerError(
            f"not sent: room {room} is semi-anonymous, and encryption needs to know for whom: give it "
            "non_anonymous=True (XEP-0384 section 5.8)"
        )
    people: set[str] = set()
    for affiliation, answer in zip(READERS, lists, strict=True):
        try:
            people |= read_members(_answered(answer))
        except Refused as error:
            # Who is not in a room that everybody may enter need not read what is said there.
            if MEMBERS_ONLY in features:
                raise PeerError(f"not sent: room {room} does not say who is {affiliation}: {error}") from error
    # Last: what the room said of its occupants before it answered is in by now.
    return (people | {*joined.occupants.values()}) - {""}


def _answered(answer: ET.Element | BaseException) -> ET.Element:
    """The answer to one of several questions. Raises what asking it raised."""
    if isinstance(answer, BaseException):
        raise answer
    return answer
