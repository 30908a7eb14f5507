"""OTR, versions 3 and 2, through libotr: legacy, and chosen on purpose (XEP-0364 is deferred).

- A message is for one device that is online: a session begins with a key exchange, and ends with the device's stream.
- Nothing is sent in the clear: without a session one is offered (a query), and the message waits until it is there. A
  text that is sent in the clear on purpose offers one, too (whitespace tag).
- Sessions are kept by full JID, so that each client of a person has its own; messages are addressed as they were asked
  for.
- Copies (XEP-0280, XEP-0313) are not given to libotr: it would take them for messages to this device.
- What cannot be decrypted is lost: its sender is offered a new session, once, so that the next message can be read.
- A long message is sent in pieces: the first one has the message's id.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import uuid
import weakref
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

from slixmpp.stanza import Message

from lab.clients.encryption import (
    DecryptedMessage,
    DeviceKey,
    Encryption,
    EncryptionSettings,
    NotForUs,
    NotReadable,
    SealedMessage,
    libotr,
)
from lab.clients.encryption.libotr import OtrClient, OtrResult, PeerKey
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import CLIENT, Incoming
from lab.declarations.encryptions.otr import DECLARATION
from lab.errors import PeerError, UserError

#: Seconds until nobody answers the offer of a session: four stanzas over a new link take a few seconds at most.
ANSWER = 20.0

#: The whitespace tag: OTR is offered, in version 2, in version 3.
TAG = " \t  \t\t\t\t \t \t \t  " + "  \t\t  \t " + "  \t\t  \t\t"

_BODY = f"{{{CLIENT}}}body"
_LEVELS = ("trusted", "distrusted", "undecided")
_VERIFIED = ("trusted", "smp")  # "smp" is what libotr notes after a check of a shared secret that matched
_MEMORY = "otr-folder"
_PIECE = re.compile(r"\?OTR(?:\|[0-9a-f]+\|[0-9a-f]+)?,(\d+),(\d+),")  # a piece: its number, and how many there are

_QUERY = re.compile(r"\?OTR(\?|v)")  # an offer of a session
_COMMIT = re.compile(r"\?OTR:AA[MI]C")  # a D-H commit, in version 3 or 2: somebody has taken up an offer

T = TypeVar("T")


class OtrStrategy(Encryption):
    """OTR for one live stream of one device."""

    name = "otr"

    def __init__(self, settings: EncryptionSettings) -> None:
        """Raises MissingError where libotr is not there: before anything is sent."""
        super().__init__(settings)
        self._library = libotr.load(settings.libraries)
        self._stream: ClientStream
        self._client: OtrClient
        self._sessions: set[str] = set()  # full JIDs of peers with whom a session began on this stream
        self._starting: dict[str, asyncio.Future[str]] = {}  # by the JID that was asked: the peer who took it up
        self._exchanging: dict[str, float] = {}  # peers with whom keys are being exchanged, and since when
        self._asked: dict[str, asyncio.Future[None]] = {}  # by peer: their check of a secret waits for an answer
        self._results: dict[str, asyncio.Future[str]] = {}  # by peer: what becomes of our check of a secret
        self._own: dict[str, str] = {}  # ids of stanzas of the protocol, and whom they were for
        self._begun: dict[str, str] = {}  # by peer: the id of the first piece of what is being received
        self._offered: set[str] = set()  # peers who were offered a new session after something unreadable

    def prepare(self, stream: ClientStream) -> None:
        """Nothing is announced."""
        self._stream = stream

    async def start(self) -> dict[str, Any]:
        """Make or load the key."""
        account = self._stream.boundjid.bare
        # In a thread: drawing a key may take a second, and nothing else uses the endpoint yet.
        self._client = await asyncio.to_thread(OtrClient, account, self._folder(), self._library)
        return {"fingerprint": self._client.fingerprint}

    def _folder(self) -> Path:
        """libotr has its keys in files; those of a device without a folder are deleted with it."""
        if self.settings.folder is not None:
            return self.settings.folder
        if _MEMORY not in self.settings.memory:
            self.settings.memory[_MEMORY] = _KeyFolder()
        path: Path = self.settings.memory[_MEMORY].path
        return path

    async def close(self) -> None:
        """Forget all sessions, as a client that ends does: nobody is told."""
        futures: list[asyncio.Future[Any]] = [*self._starting.values(), *self._asked.values(), *self._results.values()]
        for waiting in futures:
            if not waiting.done():
                waiting.set_exception(PeerError("the stream has ended"))
                waiting.exception()  # nobody may be waiting any more
        if hasattr(self, "_client"):
            self._client.close()

    # Messages

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """Encrypt the body, in a session that is begun if there is none."""
        body, to = message.find(_BODY), message.get("to", "")
        if message.get("type") == "groupchat":
            raise PeerError(f"not sent: OTR is between two devices, and {to} is a room")
        if body is None or not body.text:
            raise PeerError("not sent: OTR encrypts a text, and there is none")
        text, body.text = body.text, ""
        peer = self._find_session(to) or await self._begin(to)
        self._require_trust(peer)
        (_, first), *others = self._client.encrypt(peer, text).texts
        body.text = first
        return SealedMessage([message, *(self._build(to, piece) for _, piece in others)], [])

    def offer(self, message: ET.Element) -> None:
        """Put the whitespace tag behind a text in the clear, unless there is a session, or will be one at once."""
        body, to = message.find(_BODY), message.get("to", "")
        if body is not None and body.text and not self._peers_in_session(to) and not self._is_exchanging(to):
            body.text += TAG

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Read a message, or answer a part of the protocol."""
        if incoming.room is not None or incoming.via not in ("live", "offline"):
            reason = "OTR is for one device: a copy of a message cannot be read"
            raise NotForUs(reason) if incoming.keys_only else PeerError(reason)
        peer, body = incoming.sender, incoming.xml.findtext(_BODY) or ""
        if incoming.offer or _QUERY.match(body):
            if self._is_exchanging(peer) or (self._is_offering(peer) and self._stream.boundjid.full > peer):
                return None
            self._exchanging[peer] = asyncio.get_running_loop().time()
        elif _COMMIT.match(body):
            self._exchanging[peer] = asyncio.get_running_loop().time()
        elif not incoming.keys_only:
            self._begun[peer] = incoming.id
        outcome = self._client.receive(peer, body)
        self._handle(outcome)
        piece = _PIECE.match(body)
        if incoming.offer or (piece is not None and int(piece[1]) < int(piece[2])):
            return None
        message = "" if incoming.keys_only and piece is None else self._begun.pop(peer, "")
        if not message:
            return None  # of the protocol: libotr has answered it
        key = self._client.find_key(peer)
        if outcome.body is None or key is None:
            raise self._not_read(peer, message, outcome)
        trust = self._trust_in(key)
        if trust == "distrusted":
            raise NotReadable(f"the key {key.fingerprint} of {peer} is distrusted", message)
        return DecryptedMessage(outcome.body, key.fingerprint, trust, message)

    def _not_read(self, peer: str, message: str, outcome: OtrResult) -> NotReadable:
        """Offer a new session, once; the error that says why a message cannot be read."""
        if peer not in self._offered:
            self._offered.add(peer)
            self._send(peer, self._client.build_offer())
        return NotReadable("; ".join(dict.fromkeys(outcome.problems)) or libotr.NO_SESSION, message)

    def take_bounce(self, message: str, condition: str) -> bool:
        """Nobody can take up a session where its offer was returned."""
        to = self._own.get(message)
        if to is None:
            return False
        waiting = self._starting.get(to)
        if waiting is not None and not waiting.done():
            reason = f"not sent: the offer of an OTR session to {to} was returned: {condition}"
            waiting.set_exception(PeerError(reason, condition))
        return True

    # Sessions

    async def end_session(self, person: str) -> dict[str, str]:
        """End the sessions with a person's devices."""
        peers = self._peers_in_session(person)
        if not peers:
            raise UserError(f"there is no OTR session with {person}")
        told: dict[str, str] = {}
        for peer in peers:
            told |= self._handle(self._client.end(peer))
            self._sessions.discard(peer)
        return told

    async def _begin(self, to: str) -> str:
        """Offer a session and wait until somebody takes it up: their full JID. Raises PeerError."""
        waiting = self._starting.setdefault(to, asyncio.get_running_loop().create_future())
        if not self._is_exchanging(to):
            self._send(to, self._client.build_offer())
        try:
            async with asyncio.timeout(ANSWER):
                return await waiting
        except TimeoutError:
            raise PeerError(
                f"not sent: {to} has not taken up the offer of an OTR session within {ANSWER:g} s: OTR needs a device "
                "that has it and is online"
            ) from None
        finally:
            self._starting.pop(to, None)

    def _is_exchanging(self, to: str) -> bool:
        """Whether keys are being exchanged with somebody: an offer now would begin a second session in between."""
        since = [at for peer, at in self._exchanging.items() if to in _names(peer)]
        return bool(since) and max(since) >= asyncio.get_running_loop().time() - ANSWER

    def _is_offering(self, peer: str) -> bool:
        """Whether this device waits for an answer to an offer of its own. Of two that cross only one is taken up.

        By the device with the smaller JID: libotr ends in no session at all where both are.
        """
        return any(name in self._starting for name in _names(peer))

    def _find_session(self, to: str) -> str | None:
        """The peer of the session with a JID, None without one. Raises PeerError where there are several."""
        peers = self._peers_in_session(to)
        if len(peers) > 1:
            raise PeerError(f"not sent: OTR is for one device, and {to} has {len(peers)}: write to one by its full JID")
        return peers[0] if peers else None

    def _peers_in_session(self, to: str) -> list[str]:
        """Full JIDs of those with whom a session is, of a full JID or of all devices of a bare one."""
        found = [peer for peer in self._sessions if to in _names(peer)]
        return sorted(peer for peer in found if self._client.get_state(peer) == "encrypted")

    def _handle(self, outcome: OtrResult) -> dict[str, str]:
        """Send what the protocol wants to be sent, and tell those who wait; the ids of what was sent, and to whom."""
        # libotr sends a message again by itself: here only requests send messages.
        sent = {self._send(to, text): to for to, text in outcome.texts if not _carries_text(text)}
        for peer in outcome.secure:
            self._sessions.add(peer)
            self._offered.discard(peer)
            self._meet(peer)
            self._exchanging.pop(peer, None)
            for asked in _names(peer):
                _resolve(self._starting.get(asked), peer)
        for peer in outcome.ended:
            self._sessions.discard(peer)
            _resolve(self._results.get(peer), "aborted")
        for peer, what in outcome.checks:
            self._on_check(peer, what)
        return sent

    def _send(self, to: str, text: str) -> str:
        """Send a stanza of the protocol; its id."""
        xml = self._build(to, text)
        Message(self._stream, xml=xml).send()  # type: ignore[no-untyped-call]
        return xml.get("id", "")

    def _build(self, to: str, text: str) -> ET.Element:
        xml = ET.Element(f"{{{CLIENT}}}message", {"to": to, "type": "chat", "id": uuid.uuid4().hex})
        ET.SubElement(xml, _BODY).text = text
        self._own[xml.get("id", "")] = to
        return xml

    # The check of a shared secret

    async def verify(self, person: str, secret: str, question: str) -> str:
        """Ask whether the other knows the secret too (socialist millionaires' protocol)."""
        peer = self._in_session(person)
        self._results[peer] = asyncio.get_running_loop().create_future()
        self._handle(self._client.ask(peer, secret, question))
        try:
            return await self._results[peer]
        finally:
            del self._results[peer]

    async def answer(self, person: str, secret: str | None) -> None:
        """Answer the other's check, once it is asked."""
        peer = self._in_session(person)
        await self._wait_for_question(peer)
        del self._asked[peer]
        self._handle(self._client.abort(peer) if secret is None else self._client.answer(peer, secret))

    async def _wait_for_question(self, peer: str) -> None:
        waiting = self._asked.setdefault(peer, asyncio.get_running_loop().create_future())
        await asyncio.shield(waiting)

    def _on_check(self, peer: str, what: str) -> None:
        if what == "asked":
            waiting = self._asked.setdefault(peer, asyncio.get_running_loop().create_future())
            _resolve(waiting, None)
            return
        if what in ("error", "cheated"):
            self._handle(self._client.abort(peer))
            what = "aborted"
        key = self._client.find_key(peer)
        if what == "mismatch" and key is not None:  # somebody must decide, blind trust is over
            self._client.set_trust(peer.partition("/")[0], key.fingerprint, "undecided")
        _resolve(self._results.get(peer), what)

    def _in_session(self, person: str) -> str:
        peer = self._find_session(person)
        if peer is None:
            raise UserError(f"there is no OTR session with {person}: send a message first")
        return peer

    # Keys

    async def fetch_keys(self, of: str) -> list[DeviceKey]:
        """Known keys of a person; OTR has no device ids, they are counted."""
        found = {one.fingerprint: one for one in self._client.list_keys(of)}
        return [DeviceKey(number, one.fingerprint, self._trust_in(one)) for number, one in enumerate(found.values(), 1)]

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Decide on the key with this fingerprint."""
        if level not in _LEVELS:
            raise UserError(f"level {level!r} is unknown: use one of {', '.join(_LEVELS)}")
        if not self._client.set_trust(of, fingerprint.replace(" ", "").lower(), level):
            raise UserError(f"{of} has no known key {fingerprint}: see fingerprints")

    def _meet(self, peer: str) -> None:
        """Trust a new key blindly, if the device does, as long as nobody verified one of that person."""
        key, person = self._client.find_key(peer), peer.partition("/")[0]
        verified = any(one.trust in _VERIFIED for one in self._client.list_keys(person))
        if key is not None and not key.trust and self.settings.trust == "blind" and not verified:
            self._client.set_trust(person, key.fingerprint, "blind")

    def _trust_in(self, key: PeerKey) -> str:
        return "trusted" if key.trust in _VERIFIED else key.trust or "undecided"

    def _require_trust(self, peer: str) -> None:
        key = self._client.find_key(peer)
        trust = "undecided" if key is None else self._trust_in(key)
        fingerprint = "" if key is None else key.fingerprint
        if trust == "undecided":
            raise PeerError(f"not sent: nobody has decided whether to trust {peer} {fingerprint}; use set_trust")
        if trust == "distrusted":
            raise PeerError(f"not sent: the key {fingerprint} of {peer} is distrusted")


class _KeyFolder:
    """A folder that is deleted when nobody holds it any more, at the latest when the process ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="xmpplab-otr-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _carries_text(body: str) -> bool:
    return DECLARATION.has_text(ET.Element("message"), body)


def _names(peer: str) -> tuple[str, str]:
    """How a peer is addressed: by the full JID, and by the bare one."""
    return peer, peer.partition("/")[0]


def _resolve(waiting: asyncio.Future[T] | None, result: T) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(result)


STRATEGY = OtrStrategy
