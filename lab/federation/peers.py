"""A scripted server as a script holds it in its hand: raw stanzas in and out, and misbehaving on request.

    async with federation.peer() as peer:
        await peer.ping(home)                                   # the link works both ways
        message = await alice.send(peer.person("robot"), "hello")
        await peer.refuse(await peer.expect(message.id), "gone")

What it hears and says goes into the history as what a server saw, its messages with a body as messages sent. What
comes for its people is the script's to decide: `accept` counts as their getting it, `refuse` answers with an error,
and what is neither stays unaccounted for.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from xml.etree import ElementTree as ET

from lab.errors import LabError, TimedOut, UserError
from lab.federation.outcomes import Delivery
from lab.federation.people import Person
from lab.federation.rooms import seconds
from lab.federation.stanzas import Stanza, bounced, read, saw, sent
from lab.history.events import Delivered, Event, Note, NotSent
from lab.topology.spec import Feed

if TYPE_CHECKING:
    from lab.clients.remote import Agent
    from lab.federation.network import Federation
    from lab.federation.servers import ServerHandle

# A stream over a link takes a second (DNS, TCP, TLS, SASL), a busy machine several times that.
PATIENCE = 20.0
EVIDENCE = 8  # stanzas quoted where the awaited one did not come


Match = str | Callable[[Stanza], bool]


class Peer:
    """One raw server-to-server peer. Once entered (`async with`) it accepts streams; left, it is gone."""

    def __init__(self, federation: Federation, server: ServerHandle) -> None:
        self.federation, self.server = federation, server
        self.domain = server.domain
        self.stanzas: list[Stanza] = []  # all that it was sent
        self._taken: set[int] = set()  # places of stanzas that `expect` has returned
        self._ours: dict[str, str] = {}  # our open streams, to the domains they lead to
        self._ends: list[tuple[str, str]] = []  # of our streams: domain, reason
        self._changed = asyncio.Event()
        self._agent: Agent | None = None

    async def __aenter__(self) -> Self:
        lab, name = self.federation.lab, self.server.name
        self._agent = await self.federation.start_agent(server=name, on_event=self._event)
        certs = lab.layout.server(name) / "certs"
        try:
            await self._call(
                "peer_listen",
                domain=self.domain,
                host=self.server.address,
                port=self.server.spec.manifest.ports.server,
                certificate=str(certs / f"{self.domain}.crt"),
                key=str(certs / f"{self.domain}.key"),
                authority=str(certs / "authority.pem"),
                dns=list(lab.plan.server(name).dns),
            )
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    # -- saying --------------------------------------------------------------------------------------------------

    async def send(self, xml: str) -> None:
        """Send one stanza, as it is written, to the server of its `to`. Returns once its stream has it.

        Raises UserError if it is none, PeerError or TimedOut if there is no stream and none can be opened.
        """
        try:
            stanza = read(xml, time.time())
        except (ET.ParseError, ValueError) as error:
            raise UserError(f"not one well-formed stanza ({error}); raw() sends what is none") from error
        announced = sent(stanza, self.server.name, self.federation.canaries)
        if announced is not None:
            self._record(announced)
        try:
            await self._call("peer_send", xml=xml)
        except LabError as error:
            if announced is not None:
                self._record(NotSent(at=time.time(), message=announced.message, reason=str(error)))
            raise
        self._saw("out", stanza)

    async def raw(self, to: ServerHandle, data: str) -> None:
        """Write bytes (UTF-8) on the stream to a server, whatever they are. Nothing of it stands in the history."""
        await self._call("peer_raw", to=to.domain, data=data)

    async def ping(self, to: ServerHandle, within: str | float = PATIENCE) -> float:
        """Ping a server (XEP-0199); seconds until it answered. A ping and its answer cross the link both ways."""
        name, began = f"ping-{secrets.token_hex(4)}", time.monotonic()
        await self.send(
            f"<iq type='get' id='{name}' from='{self.domain}' to='{to.domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        await self.expect(lambda one: one.id == name and one.type in ("result", "error"), within)
        return time.monotonic() - began

    # -- hearing -------------------------------------------------------------------------------------------------

    async def expect(self, match: Match, within: str | float = PATIENCE) -> Stanza:
        """The first stanza that matches and was not returned before: one that came already, or comes in time.

        `match` is a function of the stanza, or a text that stands in its XML, such as an id. Raises TimedOut with
        what came instead.
        """
        if await self._until(lambda: self._found(match), within):
            return self.stanzas[self._last]
        wanted = f"with {match!r}" if isinstance(match, str) else "that matches"
        came = tuple(one.xml for one in self.stanzas[-EVIDENCE:]) or ("nothing came",)
        raise TimedOut(f"{self.server} was sent no stanza {wanted} within {within}", came)

    async def closed(self, to: ServerHandle, within: str | float = PATIENCE) -> str:
        """Wait until our stream to a server has ended, and say why. Raises TimedOut if it stays open."""
        if await self._until(lambda: to.domain not in self._ours.values(), within):
            return next((reason for domain, reason in reversed(self._ends) if domain == to.domain), "there was none")
        raise TimedOut(f"the stream of {self.server} to {to} is still open after {within}")

    def accept(self, stanza: Stanza) -> None:
        """Count a message as delivered to whom it was for: its outcome says so from now on."""
        device = stanza.receiver or ""
        device = device if "/" in device else f"{device}/{self.server.name}"
        self._record(
            Delivered(
                at=time.time(), message=stanza.id or "", sender=stanza.sender or "", device=device,
                stream=self.server.name, via="live",
            )
        )  # fmt: skip
        if message := self.federation.messages.get(stanza.id or ""):
            message.add_delivery(Delivery(device, "live", time.time(), stanza.body, "plain"))

    async def refuse(self, stanza: Stanza, condition: str, kind: str = "cancel") -> None:
        """Answer a stanza with an error, such as "gone"; `kind` is its type (RFC 6120 section 8.3.2)."""
        await self.send(stanza.error(condition, kind))

    def person(self, name: str) -> Person:
        """Somebody here, whom others can write to: without a device, what comes for them is the script's."""
        return Person(self.federation, self.server, name, "plain", "blind")

    # -- misbehaving ---------------------------------------------------------------------------------------------

    async def behave(self, *, pings: bool | None = None, streams: str | None = None) -> None:
        """Answer pings or not; meet streams that come in: "answer" them, be "silent", "refuse" (reset) them."""
        await self._call("peer_behave", pings=pings, streams=streams)

    async def close(self, to: ServerHandle | None = None, *, condition: str = "", abort: bool = False) -> None:
        """End the streams with a server, or all: in order, with a stream error (RFC 6120 section 4.9.3), or by a reset.

        Returns once they are gone. New ones may follow.
        """
        await self._call("peer_close", domain=to.domain if to else None, condition=condition, abort=abort)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _call(self, operation: str, **fields: Any) -> dict[str, Any]:
        if self._agent is None:
            raise UserError(f"the peer {self.server} is not there: use it inside `async with`")
        return await self._agent.call(operation, self.server.name, **fields)

    async def _leave(self) -> None:
        if self._agent is not None:
            agent, self._agent = self._agent, None
            await agent.close()

    async def _until(self, holds: Callable[[], bool], within: str | float) -> bool:
        """True once it holds, False if it does not in time."""
        try:
            async with asyncio.timeout(seconds(within)):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _found(self, match: Match) -> bool:
        """Whether there is such a stanza; it is then the last that was taken."""
        for place, one in enumerate(self.stanzas):
            if place not in self._taken and (match in one.xml if isinstance(match, str) else match(one)):
                self._taken.add(place)
                self._last = place
                return True
        return False

    def _event(self, data: dict[str, Any]) -> None:
        if data["event"] == "peer_stanza":
            stanza = read(data["xml"], data["at"])
            self._saw("in", stanza)
            if stanza.name == "message" and stanza.type == "error":
                self._record(bounced(stanza))
            self.stanzas.append(stanza)
            self._changed.set()
        elif data["event"] == "peer_stream":
            self._stream(data["stream"], data["domain"], data["direction"] == "out", data["state"], data["reason"])
        else:
            self._note(str(data.get("message", data)))

    def _stream(self, name: str, domain: str, ours: bool, state: str, reason: str) -> None:
        self._note(f"stream {'to' if ours else 'from'} {domain} {state}{reason and f': {reason}'}")
        if ours and state == "open":
            self._ours[name] = domain
        elif ours:
            self._ours.pop(name, None)
            self._ends.append((domain, reason))
        self._changed.set()

    def _note(self, text: str) -> None:
        self._record(Note(at=time.time(), by=self.server.name, text=text))

    def _record(self, event: Event) -> None:
        self.federation.history.record(event)

    def _saw(self, direction: str, stanza: Stanza) -> None:
        if self.server.spec.feed is not Feed.OFF:
            self._record(saw(stanza, self.server.name, direction, whole=self.server.spec.feed is Feed.FULL))
