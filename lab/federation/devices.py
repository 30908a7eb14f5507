"""The devices of people: each is one client with a stream of its own."""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from xml.sax.saxutils import quoteattr

from lab.clients.characters import check_raw
from lab.clients.encrypted_files import key_of, strip_key
from lab.declarations.domains import a_labels
from lab.errors import PeerError, UserError
from lab.federation.context import read_duration
from lab.federation.messages import DELIVERY_DEADLINE, Message
from lab.federation.stanza_log import Match, StanzaLog
from lab.federation.stanzas import CLIENT, Stanza, parse
from lab.history.events import FileFetched, FileUploaded
from lab.history.key_events import DeviceRemoved

if TYPE_CHECKING:
    from lab.federation.guests import Guest
    from lab.federation.people import Person
    from lab.federation.rooms import Room
    from lab.federation.servers import ServerHandle

# Seconds. Logging in takes well under one; publishing OMEMO keys on a busy ejabberd several.
CONNECT_DEADLINE = 60.0
# An IQ to another server may have to wait for a stream.
IQ_DEADLINE = 30.0
FILE_DEADLINE = 60.0

CHAT_STATE = "http://jabber.org/protocol/chatstates"
CHAT_STATES = ("active", "composing", "paused", "inactive", "gone")
CHAT_MARKERS = "urn:xmpp:chat-markers:0"


@dataclass(frozen=True)
class ArchivedMessage:
    """A message in an archive (XEP-0313)."""

    id: str  # the stanza's
    sender: str
    receiver: str
    at: float | None  # when the archive stored it, in seconds since the epoch
    text: str | None  # of its body, None without one
    encrypted: bool


class Device:
    """One client of a person: a resource (RFC 6120 section 7), with keys and trust of its own."""

    def __init__(self, person: Person, resource: str, *, encryption: str = "", resumable: bool = False) -> None:
        self.person = person
        self.encryption = encryption or person.encryption  # of messages, unless `send` is given another
        self.resource = resource
        # The agent's name for it: the same person has the same one, however a server writes their JID.
        self.key: str = f"{person.name}@{person.server.domain}/{resource}"
        self.jid: str = f"{person.jid}/{resource}"  # the full JID, as the server bound it
        self.connected = False
        self.priority: int | None = None  # of its presence (RFC 6121 section 4.7.2.3); None: not available
        self.resumable = resumable  # the server is asked to keep its stream when the connection is lost
        self.dropped_priority: int | None = None  # `priority` when its stream ended
        self.relay: tuple[str, int] | None = None  # where it connects, instead of to its server, while it is attacked
        #: Address and port of its stream.
        self.connected_to: tuple[str, int] = person.server.address, person.server.c2s_port
        self.stream = ""  # unique per live stream, "" before the first
        self.log = StanzaLog(self.key)
        self.unread: dict[str, str] = {}  # messages that it could not decrypt, by id: the reason
        self.omemo_device: int | None = None  # the OMEMO device id
        self.fingerprint: str | None = None  # of its long-term key (OMEMO, OTR), in hex

    async def connect(self) -> None:
        """Log in (RFC 6120 sections 5 to 7, RFC 6121 section 4.2).

        Returns once presence is sent, the messages of the offline store are received and, with OMEMO, device list
        and bundle can be fetched (XEP-0384), unless the person's keys are optional. Raises PeerError if the server
        refuses, MissingError if the library of an encryption is missing, UserError for a device that was removed,
        TimedOut after 60 seconds and what a slow link needs more.
        """
        context, person = self.person.context, self.person
        if self in person.removed_devices:
            raise UserError(f"connect: device {self.jid} was removed: make another one with add_device")
        libraries = await context.lab.find_libraries(self.encryption)
        host, port = self.connected_to = self.relay or (person.server.address, person.server.c2s_port)
        answer = await context.call(
            "connect",
            self.key,
            jid=person.jid,
            password=person.password,
            resource=self.resource,
            host=host,
            port=port,
            authority=context.lab.trusted(person.server.name),
            encryption=self.encryption,
            trust=person.trust,
            folder=context.lab.agent_folder(person.server.name, person.name, self.resource),
            resumable=self.resumable,
            keys_optional=person.keys_optional,
            timeout=CONNECT_DEADLINE,
            **({} if libraries is None else {"libraries": libraries}),
        )
        self.jid, self.stream, self.connected, self.priority = answer["jid"], answer["stream"], True, 0
        person.jid = self.jid.partition("/")[0]
        self.omemo_device, self.fingerprint = answer.get("omemo_device"), answer.get("fingerprint")

    async def disconnect(self) -> None:
        """Log out (RFC 6120 section 4.4). Returns once the server has closed the stream. Raises TimedOut."""
        await self.person.context.call("disconnect", self.key)
        self.connected = False

    async def remove(self) -> None:
        """Give the device up: it logs out, and another one of the person's takes it off the OMEMO device list.

        From then on nobody encrypts for it (XEP-0384). Returns once the own server has the list without it, and its
        bundle is gone. Raises UserError if no other device is connected, PeerError if the server refuses, TimedOut.
        """
        person, context = self.person, self.person.context
        other = next((one for one in person.devices if one.connected and one is not self), None)
        if other is None:
            raise UserError(f"remove: {person} has no other connected device, which could remove {self.resource}")
        if self.connected:
            await self.disconnect()
        if self.omemo_device is not None:
            await context.call("remove_device", other.key, omemo_device=self.omemo_device, timeout=CONNECT_DEADLINE)
            now = context.history.now()
            context.history.record(DeviceRemoved(at=now, device=self.jid, omemo_device=self.omemo_device, by=other.jid))
        person.devices.remove(self)
        person.removed_devices.append(self)

    async def rotate_signed_prekey(self) -> None:
        """Make a new signed prekey for OMEMO and publish it, as devices do every week to every month (XEP-0384).

        Who has fetched the one before is still read, who has the one before that is not. Returns once the own server
        has the new bundle. Raises UserError on a device without OMEMO, PeerError if the server refuses, TimedOut.
        """
        await self.person.context.call("rotate_signed_prekey", self.key, timeout=self._patience(CONNECT_DEADLINE))

    async def replace_sessions(self, other: Person) -> None:
        """Begin new OMEMO sessions with the devices of `other` that this one has sessions with, and tell these.

        That is how people heal a session that one side has lost (XEP-0384 section 8: no device does it by itself).
        Returns once the empty messages that tell it are handed to the stream. Raises UserError on a device without
        OMEMO or where there is no session, PeerError if keys cannot be fetched, TimedOut.
        """
        context = self.person.context
        timeout = CONNECT_DEADLINE + context.allowance(self.person.server.name, other.server.name)
        await context.call("replace_sessions", self.key, of=other.jid, timeout=timeout)

    async def back_up(self) -> str:
        """Copy the device's keys, sessions and trust, and return the name of that backup, for `restore`.

        It is kept as long as the script runs. Returns once it is made. Raises UserError while the device is connected:
        its keys change then.
        """
        answer = await self.person.context.call("back_up", self.key)
        self.person.context.history.note(f"{self.jid}: keys, sessions and trust are copied, backup {answer['backup']}")
        return str(answer["backup"])

    async def restore(self, backup: str) -> None:
        """Make keys, sessions and trust what they were at this backup. All that changed since is lost.

        Returns once it is so. Raises UserError while the device is connected, or if there is no such backup.
        """
        await self.person.context.call("restore", self.key, backup=backup)
        self.person.context.history.note(f"{self.jid}: keys, sessions and trust are those of backup {backup} again")

    async def drop_connection(self) -> None:
        """Lose the connection: it is reset, and the stream is not closed (RFC 6120 section 4.4).

        A server that was asked to keep the stream (a device made with `resumable`) keeps it for minutes, and what is
        sent to the device in the meantime (XEP-0198 section 5). Returns once the connection is gone. Raises UserError
        if the device is not connected.
        """
        await self.person.context.call("drop_connection", self.key)

    async def stall_connection(self) -> None:
        """Let no byte pass the connection, in either direction: nobody is told, and both sides wait.

        Returns once it is so. Raises UserError if the device is not connected.
        """
        await self.person.context.call("stall_connection", self.key)

    async def release_connection(self) -> None:
        """Let bytes pass a connection that was stalled.

        Returns once what the server had to send is received. Raises UserError or PeerError if the connection was lost
        in the meantime.
        """
        await self.person.context.call("release_connection", self.key)

    async def resume(self) -> None:
        """Go on with the stream whose connection was lost (XEP-0198 section 5).

        Returns once it is resumed and what the server had kept is received; what was sent and not acknowledged has been
        sent once more. Raises UserError if there is no such stream, PeerError if the server has not kept it: then
        `connect` makes a new one; TimedOut after 60 seconds.
        """
        host, port = self.connected_to = (
            self.relay or self.connected_to
        )  # a relay knows what it has made of the stream's counts
        answer = await self.person.context.call("resume", self.key, host=host, port=port, timeout=CONNECT_DEADLINE)
        self.stream, self.connected = answer["stream"], True

    async def delay_acknowledgements(self, by: str | float) -> None:
        """Acknowledge what is received from now on so late (XEP-0198 section 4); with 0 at once, as at the beginning.

        `by` is in seconds, or a text such as "5s". Until then the server takes it for not received: if the connection
        is lost, it is delivered once more or stored. `disconnect` acknowledges everything. Returns once it holds.
        Raises UserError if the device is not connected.
        """
        await self.person.context.call("delay_acknowledgements", self.key, seconds=read_duration(by))

    async def presence(self, show: str | None = None, priority: int = 0) -> None:
        """Send presence: how available this device is (RFC 6121 section 4.7). It has priority 0 once it has connected.

        `show` is "away", "chat", "dnd" or "xa", or "unavailable": then the device stays connected, and what is sent to
        the person is for others or kept. `priority` is a number of -128 to 127; with a negative one the device gets
        only what is sent to its full JID.

        Returns once the server has handled it. Raises UserError for other values, or if the device is not connected.
        """
        await self.person.context.call("presence", self.key, show=show, priority=priority)

    async def send(
        self,
        to: Person | Device | Guest | Room,
        text: str,
        *,
        encryption: str | None = None,
        correct: Message | None = None,
        receipt: bool = False,
        private: bool = False,
        extensions: Sequence[str] = (),
    ) -> Message:
        """Send a chat message (RFC 6121 section 5) or a groupchat message (XEP-0045 section 7.4).

        To a person it is addressed to the bare JID, to a device to its full JID (RFC 6121 section 8.5.3).

        `encryption` is the person's own unless given; "plain" sends without encryption. `correct` is an earlier message
        that it replaces (XEP-0308). With `receipt` it asks for receipts (XEP-0184): devices of the lab send one, see
        `Message.acknowledged`. With `private` servers are to make no carbon copies (XEP-0280 section 9). `extensions`
        are further elements of the stanza, as XML; they are not encrypted.

        Returns once the message is handed to the stream; await `Message.outcome()` for what becomes of it. Raises
        PeerError where it cannot be encrypted (nothing is sent then), UserError if the device is not connected, the
        text has a character that XML forbids (XML 1.0 section 2.2), or the options do not fit each other or the
        receiver; TimedOut after 60 seconds.
        """
        return await self.person.participants.send(
            self,
            to,
            text,
            encryption=encryption,
            correct=correct,
            receipt=receipt,
            private=private,
            extensions=extensions,
        )

    async def chat_state(self, to: Person | Device, state: str) -> None:
        """Say what its user does in a chat (XEP-0085): "active", "composing", "paused", "inactive" or "gone".

        With OMEMO 2 it is encrypted in an envelope (XEP-0420); without, also with OMEMO 0.3, servers can read it.
        Returns once it is handed to the stream. Raises UserError for another word or if the device is not connected,
        PeerError where it cannot be encrypted, TimedOut.
        """
        if state not in CHAT_STATES:
            raise UserError(f"chat_state: one of {', '.join(CHAT_STATES)}, not {state!r}")
        await self.person.participants.send_element(self, to, f"<{state} xmlns='{CHAT_STATE}'/>")

    async def mark(self, message: Message) -> None:
        """Tell the sender of a message that it was displayed (XEP-0333): encrypted as `chat_state` is.

        Returns once it is handed to the stream. Raises UserError for what was said in a room or if the device is not
        connected, PeerError where it cannot be encrypted, TimedOut.
        """
        if message.in_room:
            raise UserError(f"mark: {message.id} was said in a room, and only messages between two are marked here")
        displayed = f"<displayed xmlns='{CHAT_MARKERS}' id={quoteattr(message.id)}/>"
        await self.person.participants.send_element(self, message.sender, displayed)

    @property
    def server(self) -> ServerHandle:
        """The server of its person."""
        return self.person.server

    async def send_raw(self, xml: str) -> None:
        """Put exactly these bytes (in UTF-8) on the stream, behind all that was sent before (RFC 6120 section 8).

        Messages with a body count as sent by this device, and are judged like others; anything else is recorded as a
        note. Returns once it is handed to the stream. Raises UserError if the device is not connected, PeerError if its
        stream is gone.
        """
        check_raw(xml, "send_raw: the stanza")
        await self.person.participants.send_raw(self, xml)

    async def iq(self, xml: str, within: str | float | None = None) -> Stanza:
        """Send an IQ of type get or set, and return its answer (RFC 6120 section 8.2.3).

        An error is an answer as well: its `type` is "error", and `condition` says which. `within` is in seconds, or a
        text such as "10s". Raises UserError if it is no such IQ or the device is not connected, TimedOut without an
        answer.
        """
        check_raw(xml, "iq: the stanza")
        limit = self._patience(IQ_DEADLINE) if within is None else read_duration(within)
        answer = await self.person.context.call("iq", self.key, xml=xml, timeout=limit)
        return parse(str(answer["xml"]), time.time(), CLIENT)

    async def upload(
        self,
        data: bytes,
        *,
        name: str = "file.bin",
        media_type: str = "application/octet-stream",
        encrypted: bool = False,
    ) -> str:
        """Upload a file to the own server, and return the URL from which others can fetch it (XEP-0363).

        With `encrypted` the server gets ciphertext under a random name, and the URL is an aesgcm:// one with the key in
        its fragment (XEP-0454): it belongs into an encrypted message. The key is a secret of the run as texts of
        `Federation.secret` are: the secrecy check searches for it.

        The service is found by discovery, the server's certificate checked against the lab's authority. Returns once
        the server has stored it. Raises PeerError if the server refuses, with the `condition` of its answer
        ("not-acceptable" for a file that is too large); UserError if the device is not connected, TimedOut after 60
        seconds.
        """
        context, person = self.person.context, self.person
        answer = await context.call(
            "upload",
            self.key,
            name=name,
            data=b64encode(data).decode(),
            media_type=media_type,
            addresses=self._addresses(),
            authority=context.lab.trusted(person.server.name),
            encrypt=encrypted,
            timeout=FILE_DEADLINE,
        )
        url = str(answer["url"])
        secrets = [one for one in context.canaries if one.encode() in data]
        if encrypted:
            context.canaries.append(key_of(url))
            secrets.append(key_of(url))
        digest, stored = hashlib.sha256(data).hexdigest(), str(answer.get("sha256", ""))
        context.history.record(
            FileUploaded(
                at=context.history.now(), device=self.jid, url=strip_key(url), size=len(data), sha256=digest,
                encrypted=encrypted, stored=stored, canaries=tuple(secrets),
            )
        )  # fmt: skip
        return url

    async def fetch(self, url: str) -> bytes:
        """Fetch a file that somebody uploaded to a server of the lab (XEP-0363 section 6), and return it.

        What an aesgcm:// URL names is decrypted with the key in its fragment (XEP-0454). The server's certificate is
        checked against the lab's authority. Raises UserError for a host that is none of the lab, a URL whose key is
        none, or if the device is not connected; PeerError if the certificate is not valid for the host, there is no
        such file, or the key does not open it; TimedOut after 60 seconds.
        """
        context, addresses = self.person.context, self._addresses()
        host = urlsplit(url).hostname or ""
        servers = context.lab.plan.servers
        home = next((one for one in servers if f".{host}".endswith(f".{a_labels(one.spec.domain)}")), None)
        if home is None:
            raise UserError(f"fetch: {host or strip_key(url)} is no host of this lab: there are {', '.join(addresses)}")
        answer = await context.call(
            "fetch",
            self.key,
            url=url,
            addresses=addresses,
            authority=context.lab.trusted(home.spec.name),
            timeout=FILE_DEADLINE,
        )
        data, now = b64decode(answer["data"]), context.history.now()
        digest = hashlib.sha256(data).hexdigest()
        context.history.record(FileFetched(at=now, device=self.jid, url=strip_key(url), size=len(data), sha256=digest))
        return data

    def _addresses(self) -> dict[str, str]:
        """The address of each server of the lab, by its domain as it is in a URL."""
        return {a_labels(one.spec.domain): one.address for one in self.person.context.lab.plan.servers}

    async def archive(
        self, room: Room | None = None, *, with_: Person | str | None = None, start: float | None = None,
        deliver: bool = False,
    ) -> list[ArchivedMessage]:  # fmt: skip
        """The messages in the archive of the device's own account, or of a room (XEP-0313 section 4), oldest first.

        Only those exchanged with `with_`, and none before `start` (seconds since the epoch), where given. With
        `deliver` those that the device was not handed before count as delivered, via "archive", and are decrypted.
        Returns once all pages are read. Raises PeerError if the archive refuses, UserError if the device is not
        connected, TimedOut after 60 seconds.
        """
        answer = await self.person.context.call(
            "archive", self.key, start=start, deliver=deliver, timeout=self._patience(CONNECT_DEADLINE),
            **{"with": None if with_ is None else str(with_), "archive": None if room is None else room.jid},
        )  # fmt: skip
        return [
            ArchivedMessage(one["id"], one["from"], one["to"], one["at"], one["body"], one["encrypted"] is not None)
            for one in answer["messages"]
        ]

    @property
    def stanzas(self) -> list[Stanza]:
        """The stanzas that this device received and sent (RFC 6120 section 8), in the order of its streams.

        `direction` says which it is, "in" or "out". They begin once a resource is bound. What was in an envelope (OMEMO
        2) beside the text follows the stanza that it was in, as one of its own, and is `decrypted`.
        """
        return list(self.log.stanzas)

    async def received(self, match: Match, within: str | float | None = None) -> Stanza:
        """The first received stanza that matches, whether it was received already or is in time.

        `match` is a function of the stanza, or a text in its XML, such as an id. `within` is in seconds, or a text such
        as "10s"; 30 seconds, and an allowance for slow links, unless given. Raises NotReceived, which fails a run, with
        the last stanzas that were received.
        """
        if within is None:
            within = self._patience(DELIVERY_DEADLINE)
        return await self.log.received(match, within)

    async def published_devices(self, of: Person) -> list[int]:
        """The OMEMO device ids that `of` publishes, fetched anew (XEP-0384 section 5.3.1 of version 0.3).

        Raises UserError on a device without OMEMO, PeerError if the list cannot be fetched, TimedOut after 60 seconds
        and what a slow link needs more.
        """
        context = self.person.context
        timeout = CONNECT_DEADLINE + context.allowance(self.person.server.name, of.server.name)
        answer = await context.call("devices", self.key, of=of.jid, timeout=timeout)
        return [int(one) for one in answer["ids"]]

    def _patience(self, usual: float) -> float:
        """Seconds that are waited for what may have to pass the slowest link of the own server."""
        return usual + self.person.context.largest_allowance(self.person.server.name)

    def __str__(self) -> str:
        return self.jid

    def __repr__(self) -> str:
        return f"<device {self.jid}>"


async def ask(device: Device, kind: str, payload: str, what: str, *, to: str = "") -> Stanza:
    """The result of an IQ of type `kind` ("get", "set"). Raises PeerError, "`what`: condition", if it is an error."""
    address = f" to={quoteattr(to)}" if to else ""
    answer = await device.iq(f"<iq type='{kind}'{address}>{payload}</iq>")
    if answer.condition is not None:
        asked = to or f"the server of {device.person}"
        raise PeerError(f"{what}: {asked} answers {answer.condition}: {answer.xml}", answer.condition)
    return answer
