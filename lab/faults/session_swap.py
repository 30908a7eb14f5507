"""What `swap_bundle` does to OTR: a server takes part in key exchanges with keys of its own, towards both sides.

Each side has a session with the server, and takes it for one with the other. What one side writes is read, and
encrypted anew in the session with the other.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lab.clients.encryption import libotr
from lab.clients.encryption.libotr import OtrClient, OtrResult
from lab.declarations.encryptions.otr import DECLARATION as OTR
from lab.declarations.faults.bundle_swap import DECLARATION
from lab.errors import UserError
from lab.faults.server_attack import ServerAttack, parse_stanza
from lab.federation import Federation, Person
from lab.federation.context import Json
from lab.metrics.jids import strip_resource
from lab.network.control import Control
from lab.network.stanza_stream import RelayedStanza
from lab.runtime.debian.libraries import find_library

_BODY = "{jabber:server}body"
_HEADER = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"


class SessionSwap(ServerAttack):
    """What a script sees of the attack: what it could read."""

    name = DECLARATION.name

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        super().__init__(federation, server, person)
        self._folder = Path(tempfile.mkdtemp(prefix="xmpplab-otr-"))
        self._library: libotr.Library
        self._as_person: OtrClient  # towards others
        self._as_others: dict[str, OtrClient] = {}  # towards the person, by bare JID
        self._met: dict[str, str] = {}  # the JID that is written to, full once it is known, by bare JID
        self._held: dict[str, list[Json]] = defaultdict(list)  # what was received before that
        #: What waits for a session: by the other's bare JID, and whether it is for the person.
        self._unread: dict[tuple[str, bool], list[Json]] = defaultdict(list)
        self._unsent: list[tuple[str, str, str]] = []  # what waits for a stream: source, target, stanza

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that keep all of OTR from both sides."""
        # It works here, whatever the runtime of the devices is.
        self._library = libotr.load(await find_library(OTR.library, OTR.library_package))
        self._as_person = await self._create_client(self._person.jid)
        otr = {"action": "drop", "stanza": "message", "element": "body", "contains": "?OTR"}
        return [{**otr, "receiver": self._person.jid}, {**otr, "sender": self._person.jid}]

    async def _create_client(self, jid: str) -> OtrClient:
        """A client with a new key; in a thread, as drawing it may take a second."""
        folder = self._folder / uuid.uuid4().hex
        return await asyncio.to_thread(OtrClient, jid, folder, self._library)

    async def stop(self) -> None:
        """Deal with nothing more, and forget all keys. Raises what dealing with it has raised."""
        try:
            await super().stop()
        finally:
            for client in (*self._as_others.values(), *([self._as_person] if hasattr(self, "_as_person") else [])):
                client.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    async def deal(self, control: Control, one: Json) -> None:
        """Answer a part of the protocol, or read a message and pass it on."""
        to_person = strip_resource(one["receiver"]) == self._person.jid
        other = strip_resource(one["sender"] if to_person else one["receiver"])
        if other not in self._met:
            await self._offer(one, other, to_person=to_person)
        if to_person:
            self._met[other] = one["sender"]
        self._held[other].append(one)
        # A session is with a full JID: whom the person has written to first must have shown theirs.
        while self._held[other] and "/" in self._met[other]:
            await self._receive(self._held[other].pop(0), other)
        await self._pass_on()
        await self._flush(control)

    async def _receive(self, one: Json, other: str) -> None:
        """Hand a message over to the client that it is for, and answer it."""
        to_person = strip_resource(one["receiver"]) == self._person.jid
        client = self._as_person if to_person else await self._other(other)
        outcome = client.receive(one["sender"], parse_stanza(one).findtext(_BODY) or "")
        shown = self._person.device.jid if to_person else self._met[other]
        for to, text in outcome.texts:
            self._queue(one["target"], one["source"], shown, to, text)
        if outcome.body is not None:
            self.read(one["id"], outcome.body)
            self._unread[other, to_person].append({**one, "text": outcome.body})

    async def _offer(self, one: Json, other: str, *, to_person: bool) -> None:
        """Offer who is written to a session in the name of who writes."""
        self._met[other] = one["sender"] if to_person else one["receiver"]
        client = await self._other(other) if to_person else self._as_person
        to = self._person.device.jid if to_person else one["receiver"]
        self._queue(one["source"], one["target"], one["sender"], to, client.build_offer())

    async def _other(self, jid: str) -> OtrClient:
        bare = strip_resource(jid)
        if bare not in self._as_others:
            self._as_others[bare] = await self._create_client(bare)
        return self._as_others[bare]

    def _answer(self, one: Json, outcome: OtrResult, sender: str) -> None:
        """Send the protocol's answers back, as from whom it was for."""
        for to, text in outcome.texts:
            self._queue(one["target"], one["source"], sender, to, text)

    def _queue(self, source: str, target: str, sender: str, to: str, text: str) -> None:
        stanza = (
            f"<message type='chat' id='{uuid.uuid4().hex}' from={quoteattr(sender)} to={quoteattr(to)}>"
            f"<body>{escape(text)}</body></message>"
        )
        self._unsent.append((source, target, stanza))

    async def _pass_on(self) -> None:
        """What was read, encrypted for the other side where there is a session."""
        for (other, to_person), waiting in self._unread.items():
            client = await self._other(other) if to_person else self._as_person
            peer = self._person.device.jid if to_person else self._met[other]
            while waiting and client.get_state(peer) == "encrypted":
                one = waiting.pop(0)
                (_, text), *_ = client.encrypt(peer, one["text"]).texts
                relayed = RelayedStanza(_HEADER, one["stanza"].encode())
                stanza = relayed.replace_text(relayed.find("body")[0], text).raw.decode()
                self._unsent.append((one["source"], one["target"], stanza))
                await self.settle_message(one["id"])

    async def _flush(self, control: Control) -> None:
        """Send what has a stream: a server opens its own with the first stanza for the other."""
        waiting, self._unsent = self._unsent, []
        for source, target, stanza in waiting:
            try:
                await self.send(control, source, target, stanza)
            except UserError:
                self._unsent.append((source, target, stanza))
