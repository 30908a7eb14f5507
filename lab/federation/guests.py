"""Guests: accounts whose client is a program of somebody's, seen through the feed of their server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.declarations.encryptions import find_by_namespace
from lab.errors import NotReceived
from lab.federation.context import describe_duration
from lab.federation.messages import DELIVERY_DEADLINE, Message
from lab.federation.outcomes import Bounce, Delivery
from lab.federation.stanza_log import EVIDENCE, Match, StanzaLog, matches
from lab.federation.stanzas import CLIENT, Stanza, parse
from lab.history.events import ServerSaw

if TYPE_CHECKING:
    from lab.federation.devices import Device
    from lab.federation.participants import Participants
    from lab.federation.people import Person
    from lab.federation.servers import ServerHandle

ONLINE_DEADLINE = 60.0  # seconds: a client with a window starts in some
STAND_IN = "stand-in"  # the resource of the lab's own device with a guest's account: not its client


class Guest:
    """Somebody whose client is a program that the lab does not have in its hand. Made by `ServerHandle.guest`.

    What they send and receive is what their server reports (RFC 6120 section 8): it received a stanza on their stream,
    or wrote one to it. What their client makes of it is not known.
    """

    def __init__(self, participants: Participants, server: ServerHandle, name: str) -> None:
        self.participants = participants
        self.context = participants.context
        self.server = server
        self.name = name
        self.jid: str = f"{name}@{server.domain}"  # the bare JID
        self.password = self.context.lab.password
        self.client = ""  # the full JID that its client had last, "" before it has logged in
        self._available = False
        self.deleted = False
        self.devices: tuple[Device, ...] = ()  # none of the lab's
        self._log = StanzaLog(self.jid)
        self._taken: set[int] = set()

    @property
    def stanzas(self) -> list[Stanza]:
        """The stanzas that its server wrote to it ("in") and got from it ("out"), see RFC 6120 section 8."""
        return list(self._log.stanzas)

    async def online(self, within: str | float = ONLINE_DEADLINE) -> str:
        """Return the full JID of its client once that has become available (RFC 6121 section 4.2).

        `within` is in seconds, or a text such as "60s". Raises NotReceived, which fails a run.
        """
        if await self._log.until(lambda: self._available or None, within) is None:
            raise self._missing(f"{self} did not log in and become available", within)
        return self.client

    async def received(self, match: Match, within: str | float | None = None) -> Stanza:
        """The first stanza that its server wrote to it and that matches, whether that was so already or is in time.

        `match` is a function of the stanza, or a text in its XML, such as an id. `within` is in seconds, or a text such
        as "10s"; 30 seconds, and an allowance for slow links, unless given. Raises NotReceived, which fails a run.
        """
        within = self._patience() if within is None else within
        return await self._log.received(match, within)

    async def sent(
        self, to: Person | Guest | None = None, match: Match = lambda _: True, within: str | float | None = None
    ) -> Message:
        """The first message that it has sent, to somebody or to anybody, and that this has not returned before.

        It is a message with a text, in the clear or encrypted (RFC 6121 section 5.2). `match` is as for `received`,
        `within` in seconds, or a text such as "10s". The message's `outcome` is settled like that of others. Raises
        NotReceived, which fails a run.
        """
        within = self._patience() if within is None else within

        def find() -> Message | None:
            for index, one in enumerate(self._log.stanzas):
                if index not in self._taken and self._is_text(one) and self._is_to(one, to) and matches(match, one):
                    self._taken.add(index)
                    return self.participants.add_of_guest(self, one)
            return None

        found = await self._log.until(find, within)
        if found is None:
            raise self._missing(f"{self} sent no such message{f' to {to}' if to is not None else ''}", within)
        return found

    def on_seen(self, event: ServerSaw) -> None:
        """Add what its server reports of its streams. Called by the federation."""
        client = event.peer or (event.sender if event.direction == "in" else event.receiver) or ""
        if (event.server, event.stream) != (self.server.name, "c2s") or client.partition("/")[0] != self.jid:
            return
        if "/" in client and client != f"{self.jid}/{STAND_IN}":
            self.client = client
            own = event.receiver in (None, self.jid)  # ejabberd writes the account's own address in
            if event.name == "presence" and event.direction == "in" and own and event.type in (None, "unavailable"):
                self._available = event.type is None
        direction = "out" if event.direction == "in" else "in"
        stanza = Stanza(
            name=event.name, type=event.type, id=event.id, sender=event.sender, receiver=event.receiver,
            xml=event.stanza or "", at=event.at, namespace=CLIENT, direction=direction,
        )  # fmt: skip
        if event.name == "message" and direction == "in":
            self._settle(event, client)
        self._log.add(stanza)

    def _settle(self, event: ServerSaw, client: str) -> None:
        """What was written to its client is the outcome of a message: to it, or of its own, as an error."""
        if event.type == "error":
            if message := self.participants.of_guests.get((event.id or "", self.jid)):
                condition = parse(event.stanza, event.at, CLIENT).condition if event.stanza else None
                message.add_bounce(Bounce(condition or "undefined-condition", event.sender or "", event.at))
            return
        message = self.participants.find(event.id, event.sender or "", client)
        if message is not None and message.receiver is self:
            declared = find_by_namespace(event.encryption)
            body = parse(event.stanza, event.at, CLIENT).body if event.stanza and not event.encryption else None
            name = declared.name if declared else event.encryption or "plain"
            message.add_delivery(Delivery(client, "live", event.at, body, name))

    def _is_text(self, stanza: Stanza) -> bool:
        if (stanza.name, stanza.direction) != ("message", "out") or stanza.type in ("error", "groupchat"):
            return False
        return not stanza.xml or stanza.body is not None

    def _is_to(self, stanza: Stanza, to: Person | Guest | None) -> bool:
        return to is None or (stanza.receiver or self.jid).partition("/")[0] == to.jid

    def _missing(self, what: str, within: str | float) -> NotReceived:
        """The error for what did not happen, with what it has sent last."""
        sent = [one.xml or f"<{one.name}>" for one in self._log.stanzas if one.direction == "out"][-EVIDENCE:]
        nothing = "its server has got nothing from it: its client has not logged in"
        return NotReceived(f"{what} within {describe_duration(within)}", tuple(sent) or (nothing,))

    def _patience(self) -> float:
        return DELIVERY_DEADLINE + self.context.largest_allowance(self.server.name)

    def blocks(self, jid: str) -> bool:
        """Whether it has blocked somebody: the lab does not know its block list."""
        return False

    def __str__(self) -> str:
        return self.jid
