"""A device: one XMPP client of one account, with one live stream at a time.

Its public coroutines are the requests of lab/clients/protocol.py; each says there what is true once it returns.
They raise UserError or PeerError and wait without a limit: whoever asks sets one and may give up at any point. What
nobody waits for becomes a `trouble` event.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream import tostring

from lab.clients import archive, rooms
from lab.clients.connection import PING, Connection, Event, Session
from lab.clients.encryption import Key
from lab.clients.stanzas import CLIENT, delivery
from lab.clients.stream import Refused, Stream
from lab.errors import PeerError, UserError

SID = "urn:xmpp:sid:0"
_STANZAS = {f"{{{CLIENT}}}{kind.name}": kind for kind in (Message, Presence, Iq)}


class Device(Connection):
    """One client of an account."""

    # Messages

    async def send(
        self, *, to: str, body: str, message: str, encryption: str | None = None, room: bool = False,
        marker: bool = False,
    ) -> Event:  # fmt: skip
        """Send a message; see the protocol. `marker` changes nothing on the wire."""
        session = self._live()
        way = session.encryption
        if encryption not in (None, way.name, "plain"):
            raise UserError(f"this device encrypts with {way.name!r}: connect another one with {encryption!r}")
        xml = ET.Element(f"{{{CLIENT}}}message", {"to": to, "id": message, "type": "groupchat" if room else "chat"})
        ET.SubElement(xml, f"{{{SID}}}origin-id", {"id": message})
        left_out: list[str] = []
        async with self._sending:
            if encryption == "plain" or way.name == "plain":
                ET.SubElement(xml, f"{{{CLIENT}}}body").text = body
            else:
                left_out = await way.seal(body, xml, await self._people(session, to, room))
            _stanza(session.stream, xml).send()
            await session.stream.flushed()
        return {"stream": session.id, "encryption": encryption or way.name, "left_out": left_out}

    async def _people(self, session: Session, to: str, room: bool) -> frozenset[str]:
        """The real bare JIDs that a message is encrypted for."""
        if not room:
            return frozenset({to.partition("/")[0]})
        joined = self._room(session, to)
        if hidden := [jid for jid, real in joined.occupants.items() if not real]:
            raise PeerError(f"room {to} hides who {hidden[0]} is: encryption wants a non-anonymous room (XEP-0384 5.8)")
        absent: set[str] = set()
        for affiliation in ("owner", "admin", "member"):
            with suppress(Refused):  # not everybody may ask; those present are known anyway
                absent |= rooms.members(await session.stream.ask("get", rooms.members_query(affiliation), to))
        return frozenset({*joined.occupants.values(), *absent} - {session.stream.boundjid.bare})

    async def send_raw(self, *, xml: str) -> Event:
        """Send this text. A well-formed stanza is counted by stream management, anything else goes out as it is."""
        session = self._live()
        try:
            parsed = ET.fromstring(f'<x xmlns="{CLIENT}">{xml}</x>')  # noqa: S314 - the caller's own text
        except ET.ParseError:
            parsed = ET.Element("malformed")
        if len(parsed) == 1 and parsed[0].tag in _STANZAS:
            _stanza(session.stream, parsed[0]).send()
            await session.stream.flushed()
        else:
            session.stream.send_raw(xml)
        return {}

    async def archive(
        self, *, with_: str | None = None, start: str | float | None = None, archive_: str | None = None,
        deliver: bool = False,
    ) -> Event:  # fmt: skip
        """Read an archive; with `deliver` what this device was not handed before is delivered via "archive"."""
        session = self._live()
        if isinstance(start, int | float):
            start = archive.stamp(start)

        async def ask(query: ET.Element) -> ET.Element:
            return await session.stream.ask("set", query, archive_)

        found = await archive.fetch(ask, session.inbox.collect, with_, start)
        session.inbox.forget_queries(found)
        if deliver:
            session.inbox.catch_up(found)
            await session.inbox.opened()
        return {"messages": [_archived(entry) for entry in found]}

    # Rooms

    async def join(self, *, room: str, nick: str) -> Event:
        """Join a room; a room that this makes gets the default configuration."""
        session = self._live()
        loop = asyncio.get_running_loop()
        joining = rooms.Room(room, nick, loop.create_future(), loop.create_future())
        session.inbox.rooms[room] = joining
        _stanza(session.stream, rooms.joining(room, nick)).send()
        try:
            made = await joining.joined
            if made:
                await self.configure_room(room=room, values={})
        except BaseException:
            session.inbox.rooms.pop(room, None)
            raise
        return {"occupants": sorted(joining.occupants)}

    async def leave(self, *, room: str, nick: str) -> Event:
        """Leave a room; returns once the room has said so."""
        session = self._live()
        joined = self._room(session, room)
        session.stream.send_presence(pto=f"{room}/{nick}", ptype="unavailable")
        await asyncio.shield(joined.left)
        session.inbox.rooms.pop(room, None)
        return {}

    async def occupants(self, *, room: str) -> Event:
        """Who is in the room, as this device was told."""
        return {"occupants": sorted(self._room(self._live(), room).occupants)}

    async def configure_room(self, *, room: str, values: dict[str, str | list[str]]) -> Event:
        """Submit values of the room's configuration form."""
        await self._live().stream.ask("set", rooms.configuration(values), room)
        return {}

    def _room(self, session: Session, room: str) -> rooms.Room:
        if room not in session.inbox.rooms:
            raise UserError(f"device {self.name!r} is not in room {room}: join it first")
        return session.inbox.rooms[room]

    # Keys

    async def devices(self, *, of: str) -> Event:
        """Published OMEMO devices."""
        return {"ids": await self._live().encryption.devices(of)}

    async def fingerprints(self, *, of: str) -> Event:
        """Known OMEMO devices with keys and trust."""
        keys: list[Key] = await self._live().encryption.keys(of)
        return {"devices": [{"id": key.id, "fingerprint": key.fingerprint, "trust": key.trust} for key in keys]}

    async def set_trust(self, *, of: str, fingerprint: str, level: str) -> Event:
        """Decide on a key."""
        await self._live().encryption.set_trust(of, fingerprint, level)
        return {}

    # Anything else

    async def ping(self, *, to: str) -> Event:
        """Ping (XEP-0199); the seconds it took."""
        stream = self._live().stream
        begun = time.monotonic()
        await stream.ask("get", ET.Element(f"{{{PING}}}ping"), to)
        return {"seconds": time.monotonic() - begun}

    async def iq(self, *, xml: str) -> Event:
        """Send an IQ; the answer's XML, an error being an answer too."""
        stream = self._live().stream
        try:
            parsed = ET.fromstring(f'<x xmlns="{CLIENT}">{xml}</x>')[0]  # noqa: S314 - the caller's own text
        except (ET.ParseError, IndexError) as error:
            raise UserError(f"iq: not one well-formed stanza ({error})") from error
        if parsed.tag != f"{{{CLIENT}}}iq" or parsed.get("type") not in ("get", "set"):
            raise UserError("iq: wants an <iq/> of type get or set")
        parsed.attrib.setdefault("id", uuid.uuid4().hex)
        try:
            answer = await stream.exchange(parsed)
        except IqError as error:
            answer = error.iq.xml
        return {"xml": tostring(answer, xmlns=CLIENT)}


def _stanza(stream: Stream, xml: ET.Element) -> Any:
    """slixmpp's stanza of this XML, ready to be sent and counted by stream management (XEP-0198)."""
    return _STANZAS[xml.tag](stream, xml=xml)


def _archived(entry: Any) -> Event:
    xml: ET.Element = entry.xml
    found = delivery(xml, "archive", "")
    return {
        "id": xml.get("id", ""), "from": xml.get("from", ""), "to": xml.get("to", ""),
        "at": archive.seconds(entry.at), "body": xml.findtext(f"{{{CLIENT}}}body"),
        "encrypted": None if found is None else found.encrypted,
    }  # fmt: skip
