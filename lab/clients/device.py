"""A device: one XMPP client of one account, with one live stream at a time.

Its public coroutines are the requests of lab/clients/protocol.py; each says there what is true once it returns.
They raise UserError or PeerError and wait without a limit: the caller sets one and may cancel at any point. An error
that no caller waits for becomes a `trouble` event.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.exceptions import IqError
from slixmpp.stanza import Iq, Message, Presence
from slixmpp.xmlstream import tostring
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from lab.clients import archive, encrypted_files, http_files, receipts, rooms
from lab.clients.encryption import DeviceKey, Encryption, EncryptionSettings, SealedMessage, create_strategy
from lab.clients.inbox import Inbox
from lab.clients.key_backup import KeyBackups
from lab.clients.room_readers import find_readers
from lab.clients.xmpp.client_stream import ClientStream, Refused, make_tls_context
from lab.clients.xmpp.registration_stream import RegistrationStream
from lab.clients.xmpp.stanzas import CARBONS, CLIENT, build_presence, read_own_presence
from lab.errors import LabError, PeerError, UserError

#: The reason of a stream's end that was asked for: the server has read all acknowledgements then.
ASKED_TO = "asked to"
#: The reason where the connection was dropped on purpose.
DROPPED = "dropped"

PING = "urn:xmpp:ping"
SID = "urn:xmpp:sid:0"
_STANZAS = {f"{{{CLIENT}}}{kind.name}": kind for kind in (Message, Presence, Iq)}

Event = dict[str, Any]


@dataclass
class ClientSession:
    """All that belongs to one live stream."""

    id: str
    stream: ClientStream
    encryption: Encryption
    inbox: Inbox
    announced: bool = False  # whether `connected` has been emitted


class ClientDevice:
    """One client of an account. `emit` is called with each of its events, as the protocol has them."""

    KIND = "device"  # what people call it in messages

    def __init__(self, name: str, emit: Callable[[Event], None]) -> None:
        self.name = name
        self._emit_event = emit
        self._session: ClientSession | None = None
        self._dropped: ClientSession | None = None  # its connection is lost; the server may have kept the stream
        self._opening: ClientStream | None = None
        self._sending = asyncio.Lock()  # messages leave in the order in which they were asked for
        self._memory: dict[str, Any] = {}  # keys of a device without a folder live as long as it does
        self._folder: Path | None = None  # those of the others
        self._backups = KeyBackups()
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(
        self, *, jid: str, password: str, resource: str, host: str, port: int, authority: str,
        encryption: str = "plain", trust: str = "blind", folder: str | None = None, resumable: bool = False,
        libraries: str | None = None, keys_optional: bool = False,
    ) -> Event:  # fmt: skip
        """Log in; see the protocol."""
        if self._session is not None:
            raise UserError(f"device {self.name!r} is connected already: disconnect it first")
        await self._forget()
        self._folder = None if folder is None else Path(folder)
        settings = EncryptionSettings(trust, self._folder, self._memory, self._trouble, libraries, keys_optional)
        strategy = create_strategy(encryption, settings)
        stream = self._opening = ClientStream(
            f"{jid}/{resource}", password, make_tls_context(authority), self._trouble, resumable=resumable
        )
        strategy.prepare(stream)
        await stream.open(host, port)
        name, full = uuid.uuid4().hex, stream.boundjid.full
        session = ClientSession(name, stream, strategy, Inbox(
            stream.boundjid.bare, full, name, strategy, self._emit, lambda message: self._on_content(session, message)
        ))  # fmt: skip
        self._session = session
        stream.acknowledged = session.inbox.acknowledged
        self._register_handlers(session)
        stream.on_stanza = lambda direction, xml: self._emit("stanza", direction=direction, xml=xml, stream=session.id)
        try:
            extra = await self._begin(session)
        except BaseException as error:
            await self._end(session, str(error) or "given up")
            raise
        return {"jid": full, "stream": session.id, **extra}

    async def register(
        self, *, jid: str, password: str, host: str, port: int, authority: str, token: str | None = None
    ) -> Event:
        """Register an account in band, on a stream of its own; see the protocol."""
        stream = self._opening = RegistrationStream(jid, "", make_tls_context(authority), self._trouble)
        await stream.open(host, port)
        stream.step = "encrypted, registering the account"
        try:
            await stream.register(jid.partition("@")[0], password, token)
        finally:
            await stream.shut()
        return {}

    async def _begin(self, session: ClientSession) -> Event:
        stream, strategy = session.stream, session.encryption
        stream.step = "logged in, asking for the roster"
        await stream.ask("get", ET.Element("{jabber:iq:roster}query"))
        with suppress(Refused):  # a server without carbons is a server all the same
            await stream.ask("set", ET.Element(f"{{{CARBONS}}}enable"))
        stream.step = f"logged in, preparing encryption ({strategy.name})"
        extra = await strategy.start()
        stream.send_presence()
        await stream.flushed()
        session.announced = True
        self._emit("connected", jid=stream.boundjid.full, stream=session.id, omemo_device=extra.get("omemo_device"))
        stream.step = "online, waiting for offline messages"
        with suppress(Refused):  # any answer follows the stored messages: a stream keeps order
            await stream.ask("get", ET.Element(f"{{{PING}}}ping"), stream.boundjid.host)
        await session.inbox.decrypted()
        stream.step = f"online, waiting until others can encrypt to it ({strategy.name})"
        await strategy.ready()
        return extra

    @property
    def step(self) -> str:
        """How far the last attempt to connect has got, for people."""
        return "" if self._opening is None else self._opening.step

    def _register_handlers(self, session: ClientSession) -> None:
        stream = session.stream
        handlers: tuple[tuple[str, Callable[[ET.Element], None]], ...] = (
            ("message", session.inbox.message),
            ("presence", session.inbox.presence),
            ("message", partial(self._receipts, session)),
        )
        for number, (name, handler) in enumerate(handlers):
            matcher = MatchXPath(f"{{{CLIENT}}}{name}")
            stream.register_handler(Callback(f"lab {name} {number}", matcher, partial(_handle, handler)))
        stream.add_event_handler("disconnected", lambda reason: self._on_disconnected(session, reason))

    def _receipts(self, session: ClientSession, xml: ET.Element) -> None:
        """Acknowledge a message that asks for it, and emit the receipts of others (XEP-0184).

        What an envelope has in it counts once it is decrypted, and what it has beside it does not.
        """
        if session.encryption.hides_content(xml):
            return
        if receipts.has_text(xml) and (answer := receipts.build_receipt(xml, uuid.uuid4().hex)) is not None:
            _stanza(session.stream, answer).send()
        if (message := receipts.read_receipt(xml)) is not None:
            self._emit("receipt", message=message, **{"from": xml.get("from", "")})

    def _on_content(self, session: ClientSession, message: ET.Element) -> None:
        """The same of what was in an envelope: the answer is in one, too."""
        if receipts.has_text(message) and (answer := receipts.build_receipt(message, uuid.uuid4().hex)) is not None:
            self._spawn(self._send_sealed(session, answer))
        if (about := receipts.read_receipt(message)) is not None:
            self._emit("receipt", message=about, **{"from": message.get("from", "")})

    async def _send_sealed(self, session: ClientSession, xml: ET.Element) -> None:
        async with self._sending:
            sealed = await session.encryption.seal(xml, frozenset({xml.get("to", "").partition("/")[0]}))
            for stanza in sealed.stanzas:
                _stanza(session.stream, stanza).send()
            await session.stream.flushed()

    def _on_disconnected(self, session: ClientSession, reason: object) -> None:
        if self._session is not session:
            return
        said = session.stream.refusal or str(reason or "")
        if session.stream.resumable and session.announced:
            self._suspend(session, said)
        else:
            self._spawn(self._end(session, said))

    def _suspend(self, session: ClientSession, reason: str) -> None:
        """Emit that the connection is lost, and keep all that belongs to the stream."""
        self._session, self._dropped = None, session
        self._emit("disconnected", jid=session.stream.boundjid.full, stream=session.id, reason=reason,
                   unacknowledged=session.inbox.unacknowledged(), resumable=session.stream.resumable)  # fmt: skip

    async def drop_connection(self) -> Event:
        """Lose the connection without closing the stream; see the protocol."""
        session = self._live()
        self._suspend(session, DROPPED)
        session.stream.drop()
        await session.stream.disconnected
        if not session.stream.resumable:
            await self._forget()
        return {}

    async def stall_connection(self) -> Event:
        """Let no byte pass the connection; see the protocol."""
        self._live().stream.stall()
        return {}

    async def release_connection(self) -> Event:
        """Let bytes pass again; see the protocol."""
        session = self._live()
        session.stream.release()
        with suppress(Refused):  # any answer follows what the server had to send: a stream keeps order
            await session.stream.ask_while_connected("get", ET.Element(f"{{{PING}}}ping"), session.stream.boundjid.host)
        await session.inbox.decrypted()
        return {}

    async def resume(self, *, host: str, port: int) -> Event:
        """Resume the stream whose connection was lost; see the protocol."""
        if (session := self._dropped) is None:
            raise UserError(f"device {self.name!r} has no stream to resume: it connects with resumable, and drops then")
        self._opening = session.stream
        self._session, self._dropped = session, None
        session.id = session.inbox.stream = uuid.uuid4().hex
        session.announced = False
        try:
            await session.stream.resume(host, port)
        except BaseException:
            self._session, self._dropped = None, session
            await self._forget()
            raise
        session.announced = True
        self._emit("connected", jid=session.stream.boundjid.full, stream=session.id, resumed=True)
        with suppress(Refused):  # any answer follows what the server sends once more: a stream keeps order
            await session.stream.ask("get", ET.Element(f"{{{PING}}}ping"), session.stream.boundjid.host)
        await session.inbox.decrypted()
        return {"jid": session.stream.boundjid.full, "stream": session.id}

    async def delay_acknowledgements(self, *, seconds: float) -> Event:
        """Acknowledge so many seconds late (XEP-0198 section 4); see the protocol."""
        if seconds < 0:
            raise UserError("delay_acknowledgements: seconds must be 0 or more")
        self._live().stream.delay_acknowledgements(seconds)
        return {}

    async def _forget(self) -> None:
        """Drop a stream that will not be resumed."""
        if (session := self._dropped) is not None:
            self._dropped = None
            await session.inbox.close()
            await session.encryption.close()
            await session.stream.abandon()

    async def _end(self, session: ClientSession, reason: str) -> None:
        """Emit that the stream is gone, once, and stop what belongs to it."""
        if self._session is not session:
            return
        self._session = None
        if session.announced:
            self._emit("disconnected", jid=session.stream.boundjid.full, stream=session.id, reason=reason,
                       unacknowledged=[] if reason == ASKED_TO else session.inbox.unacknowledged())  # fmt: skip
        await session.inbox.close()
        await session.encryption.close()
        await session.stream.abandon()

    async def disconnect(self) -> Event:
        """Close the stream; nothing to do without one."""
        await self._forget()
        if (session := self._session) is not None:
            await session.stream.shut()
            await self._end(session, ASKED_TO)
        if self._tasks:
            await asyncio.wait(self._tasks)
        return {}

    def _live(self) -> ClientSession:
        if self._session is None or not self._session.announced:
            raise UserError(f"device {self.name!r} is not connected: connect it first")
        return self._session

    def _emit(self, event: str, **fields: Any) -> None:
        self._emit_event({"event": event, "device": self.name, "at": time.time(), **fields})

    def _trouble(self, message: str) -> None:
        self._emit("trouble", message=message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except (LabError, OSError) as error:
                self._trouble(str(error))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Messages

    async def send(
        self, *, to: str, body: str | None, message: str, encryption: str | None = None, room: bool = False,
        marker: bool = False, extensions: list[str] | None = None,
    ) -> Event:  # fmt: skip
        """Send a message; see the protocol. `marker` changes nothing on the wire."""
        session = self._live()
        strategy = session.encryption
        if encryption not in (None, strategy.name, "plain"):
            raise UserError(f"this device encrypts with {strategy.name!r}: connect another one with {encryption!r}")
        xml = ET.Element(f"{{{CLIENT}}}message", {"to": to, "id": message, "type": "groupchat" if room else "chat"})
        ET.SubElement(xml, f"{{{SID}}}origin-id", {"id": message})
        xml.extend(_element(one) for one in extensions or ())
        if body is not None:
            ET.SubElement(xml, f"{{{CLIENT}}}body").text = body
        in_clear = "plain" in (encryption, strategy.name) or (body is None and not strategy.envelopes)
        async with self._sending:
            await session.inbox.decrypted()  # what was received may end a session, or begin one
            if in_clear:
                sealed = SealedMessage([xml], [])
                if not room and not marker:
                    strategy.offer(xml)
            else:
                sealed = await strategy.seal(xml, await self._people(session, to, room))
            for stanza in sealed.stanzas:
                _stanza(session.stream, stanza).send()
            await session.stream.flushed()
        return {
            "stream": session.id,
            "encryption": "plain" if in_clear else encryption or strategy.name,
            "left_out": [asdict(one) for one in sealed.left_out],
            "keys": [{"owner": owner, "device": device} for owner, device in sealed.keys],
        }

    async def _people(self, session: ClientSession, to: str, room: bool) -> frozenset[str]:
        """The real bare JIDs that a message is encrypted for."""
        if not room:
            return frozenset({to.partition("/")[0]})
        readers = await find_readers(session.stream.ask, self._room(session, to))
        return frozenset(readers - {session.stream.boundjid.bare})

    async def send_raw(self, *, xml: str) -> Event:
        """Put this text on the stream as it is, behind what was sent before."""
        session = self._live()
        async with self._sending:
            await session.stream.flushed()
            for stanza in session.stream.write(xml):
                self._presence_sent(session, stanza)
        return {}

    async def presence(self, *, show: str | None = None, priority: int = 0) -> Event:
        """Send presence: how available this device is (RFC 6121 section 4); see the protocol."""
        session = self._live()
        xml = build_presence(show, priority)
        _stanza(session.stream, xml).send()
        await session.stream.flushed()
        self._presence_sent(session, xml)
        with suppress(Refused):  # any answer follows what the server did about the presence: a stream keeps order
            await session.stream.ask("get", ET.Element(f"{{{PING}}}ping"), session.stream.boundjid.host)
        await session.inbox.decrypted()
        return {}

    def _presence_sent(self, session: ClientSession, xml: ET.Element) -> None:
        """Emit what a presence says of this device's availability, if it says anything."""
        if (said := read_own_presence(xml)) is not None:
            self._emit("presence-sent", stream=session.id, available=said.available, priority=said.priority,
                       show=said.show)  # fmt: skip

    async def archive(
        self, *, with_: str | None = None, start: str | float | None = None, archive_: str | None = None,
        deliver: bool = False,
    ) -> Event:  # fmt: skip
        """Read an archive; with `deliver` what this device was not handed before is delivered via "archive"."""
        session = self._live()
        if isinstance(start, int | float):
            start = archive.format_stamp(start)

        async def ask(query: ET.Element) -> ET.Element:
            return await session.stream.ask("set", query, archive_)

        found = await archive.fetch(ask, session.inbox.collect, with_, start)
        session.inbox.forget_queries(found)
        if deliver:
            async with session.encryption.catching_up():
                session.inbox.catch_up(found)
                await session.inbox.decrypted()
        return {"messages": [archive.describe(entry) for entry in found]}

    # Files

    async def upload(
        self,
        *,
        name: str,
        data: str,
        media_type: str,
        addresses: dict[str, str],
        authority: str,
        encrypt: bool = False,
    ) -> Event:
        """Upload a file (XEP-0363), encrypted (XEP-0454) if asked to; see the protocol."""
        stream, content, fragment = self._live().stream, _base64(data), ""
        if encrypt:
            content, fragment = encrypted_files.encrypt(content)
            name, media_type = encrypted_files.choose_name(name), "application/octet-stream"
        slot = await stream.ask(
            "get",
            http_files.build_slot_request(name, len(content), media_type),
            await self._upload_service(stream),
        )
        put, get, fields = http_files.read_slot(slot)
        await http_files.put(put, content, media_type, fields, addresses, make_tls_context(authority))
        url = encrypted_files.add_key(get, fragment) if encrypt else get
        return {"url": url, "sha256": hashlib.sha256(content).hexdigest(), "stored": len(content)}

    async def _upload_service(self, stream: ClientStream) -> str:
        """The JID of the own server's upload service, by service discovery (section 4)."""
        items = ET.Element(f"{{{http_files.DISCO_ITEMS}}}query")
        for service in http_files.read_services(await stream.ask("get", items, stream.boundjid.host)):
            with suppress(Refused):  # a service that says nothing of itself is not the one
                info = ET.Element(f"{{{http_files.DISCO_INFO}}}query")
                if http_files.offers_upload(await stream.ask("get", info, service)):
                    return service
        raise PeerError(f"{stream.boundjid.host} offers no upload (XEP-0363 section 4)", "item-not-found")

    async def fetch(self, *, url: str, addresses: dict[str, str], authority: str) -> Event:
        """Fetch a file that somebody uploaded; see the protocol."""
        self._live()
        encrypted_files.check(url)
        address, context = encrypted_files.strip_key(url), make_tls_context(authority)
        found = await http_files.get(address, addresses, context)
        return {
            "data": b64encode(
                encrypted_files.decrypt(found, url) if encrypted_files.is_encrypted(url) else found
            ).decode()
        }

    # Rooms

    async def join(self, *, room: str, nick: str) -> Event:
        """Join a room; a room that this makes gets the default configuration."""
        session = self._live()
        loop = asyncio.get_running_loop()
        joining = rooms.JoinedRoom(room, nick, loop.create_future(), loop.create_future())
        session.inbox.rooms[room] = joining
        _stanza(session.stream, rooms.build_join(room, nick)).send()
        try:
            made = await joining.joined
            if made:
                await self.configure_room(room=room, values={})
        except BaseException:
            session.inbox.rooms.pop(room, None)
            raise
        return {"occupants": sorted(joining.occupants)}

    async def leave(self, *, room: str, nick: str) -> Event:
        """Leave a room; returns once the room has confirmed it."""
        session = self._live()
        joined = self._room(session, room)
        session.stream.send_presence(pto=f"{room}/{nick}", ptype="unavailable")
        await asyncio.shield(joined.left)
        session.inbox.rooms.pop(room, None)
        return {}

    async def occupants(self, *, room: str) -> Event:
        """The occupants of the room, as its presences showed this device."""
        return {"occupants": sorted(self._room(self._live(), room).occupants)}

    async def configure_room(self, *, room: str, values: dict[str, str | list[str]]) -> Event:
        """Submit values of the room's configuration form."""
        await self._live().stream.ask("set", rooms.build_configuration(values), room)
        return {}

    def _room(self, session: ClientSession, room: str) -> rooms.JoinedRoom:
        if room not in session.inbox.rooms:
            raise UserError(f"device {self.name!r} is not in room {room}: join it first")
        return session.inbox.rooms[room]

    # Keys

    async def devices(self, *, of: str) -> Event:
        """Published OMEMO devices."""
        return {"ids": await self._live().encryption.fetch_devices(of)}

    async def fingerprints(self, *, of: str) -> Event:
        """Known OMEMO devices with keys and trust."""
        keys: list[DeviceKey] = await self._live().encryption.fetch_keys(of)
        return {"devices": [{"id": key.id, "fingerprint": key.fingerprint, "trust": key.trust} for key in keys]}

    async def remove_device(self, *, omemo_device: int) -> Event:
        """Take an OMEMO device off the account's device lists."""
        await self._live().encryption.remove_device(omemo_device)
        return {}

    async def set_trust(self, *, of: str, fingerprint: str, level: str) -> Event:
        """Decide on a key."""
        await self._live().encryption.set_trust(of, fingerprint, level)
        return {}

    async def rotate_signed_prekey(self) -> Event:
        """Make a new signed prekey and publish it; see the protocol."""
        await self._live().encryption.rotate_signed_prekey()
        return {}

    async def back_up(self) -> Event:
        """Copy all that the encryption has stored; see the protocol."""
        return {"backup": self._backups.take(self._stored("back_up"), self._memory)}

    async def restore(self, *, backup: str) -> Event:
        """Store what a backup has in the place of what is there; see the protocol."""
        self._backups.restore(backup, self._stored("restore"), self._memory)
        return {}

    def _stored(self, what: str) -> Path | None:
        """Where its encryption stores, which nothing changes meanwhile."""
        if self._session is not None or self._dropped is not None:
            raise UserError(f"{what}: device {self.name!r} is connected, and its keys change: disconnect it first")
        return self._folder

    # Sessions

    async def replace_sessions(self, *, of: str) -> Event:
        """Begin a new session with each device of a person that there is one with."""
        session = self._live()
        await session.encryption.replace_sessions(of)
        await session.stream.flushed()
        return {}

    async def verify(self, *, to: str, secret: str, question: str = "") -> Event:
        """Check whether a person knows a secret."""
        return {"result": await self._live().encryption.verify(to, secret, question)}

    async def answer(self, *, to: str, secret: str | None) -> Event:
        """Answer a person's check of a secret, or break it off."""
        await self._live().encryption.answer(to, secret)
        return {}

    async def end_session(self, *, to: str) -> Event:
        """End the session with a person."""
        session = self._live()
        told = await session.encryption.end_session(to)
        await session.stream.flushed()
        return {"told": [{"message": message, "to": jid} for message, jid in told.items()]}

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


def _stanza(stream: ClientStream, xml: ET.Element) -> Any:
    """slixmpp's stanza of this XML, ready to be sent and counted by stream management (XEP-0198)."""
    return _STANZAS[xml.tag](stream, xml=xml)


def _base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise UserError(f"data: not base64 ({error})") from error


def _element(xml: str) -> ET.Element:
    try:
        (found,) = ET.fromstring(f'<x xmlns="{CLIENT}">{xml}</x>')  # noqa: S314 - the caller's own text
    except (ET.ParseError, ValueError) as error:
        raise UserError(f"extensions: {xml!r} is not one well-formed element ({error})") from error
    return found


def _handle(handler: Callable[[ET.Element], None], stanza: Any) -> None:
    handler(stanza.xml)
