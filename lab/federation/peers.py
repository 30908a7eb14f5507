"""Servers that a script controls itself."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.clients.characters import check_raw, check_text
from lab.clients.remote import Agent
from lab.declarations.domains import a_labels
from lab.errors import LabError, NotReceived, TimedOut, UserError
from lab.federation import jids, markers, stanzas
from lab.federation.context import describe_duration, read_duration
from lab.federation.devices import Device
from lab.federation.outcomes import Delivery
from lab.federation.participants import Participants
from lab.federation.people import Person
from lab.federation.stanza_log import Match, StanzaLog
from lab.federation.stanzas import RawText, Stanza
from lab.history.events import (
    Delivered,
    Event,
    Note,
    NotSent,
    RouteSettled,
    Sent,
    ServerEnded,
    ServerStarted,
    ServerStreamClosed,
    ServerStreamOpened,
)
from lab.metrics.record import RunRecord
from lab.runtime.server_files import change_owner, find_server_owner
from lab.topology.spec import Certificate, Feed, Tls

if TYPE_CHECKING:
    from lab.federation.servers import ServerHandle

# Seconds, and the allowance of the link. A stream takes one (DNS, TCP, TLS, SASL), on a busy machine several times
# that.
PEER_TIMEOUT = 20.0
REQUEST_TIMEOUT = 30.0


@dataclass(frozen=True)
class OpenedStream:
    """What became of a stream that a peer opened: open, or how far it got (RFC 6120 section 4.3)."""

    open: bool  # stanzas may be written to it
    reason: str  # why it is not open, "" if it is
    condition: str  # of the stream error that ended it (section 4.9.3), "" without one
    by: str  # who sent that error: "peer" is the other side, "server" this one
    features: str  # what the other side offered last, as XML
    tls: str  # version of TLS, "" without
    authentication: str  # "EXTERNAL" or "dialback", "" if it is not authenticated


class Peer:
    """A server with `software: scripted`: raw stanzas over server-to-server streams (RFC 6120), and misbehaviour.

        async with federation.peer() as peer:
            await peer.ping(home)                                   # the link works in both directions
            message = await alice.send(peer.person("robot"), "hello")
            await peer.refuse(await peer.expect(message.id), "gone")

    Inside the `async with` block it accepts streams. What it receives and sends is recorded as what a server saw, its
    messages with a body as messages sent. For a message to one of its people the script decides: `accept` counts as a
    delivery, `refuse` answers with an error, and without either it counts as missing.
    """

    def __init__(self, participants: Participants, server: ServerHandle) -> None:
        self.server = server
        self.domain = server.domain
        self._log = StanzaLog(server.name)
        self._raw: dict[str, RawText] = defaultdict(lambda: RawText(stanzas.SERVER))  # by domain
        self._participants = participants
        self._context = participants.context
        self._returned: set[int] = set()  # indices of stanzas that `expect` has returned
        self._own_streams: dict[str, str] = {}  # streams that we opened and that are open: their ids to the domains
        self._ends: list[tuple[str, str]] = []  # of streams that we opened: domain, reason
        self._proves = True  # whether streams that we open are authenticated
        self._agent: Agent | None = None
        self._began = 0  # place in the history

    async def __aenter__(self) -> Self:
        lab, name = self._context.lab, self.server.name
        self._agent = await self._context.start_agent(self._on_event, server=name)
        certs = lab.layout.server(name) / "certs"
        try:
            await self._call(
                "peer_listen",
                domain=self.domain,
                host=self.server.address,
                port=self.server.spec.manifest.ports.server,
                certificate=str(certs / f"{a_labels(self.domain)}.crt"),
                key=str(certs / f"{a_labels(self.domain)}.key"),
                authority=str(certs / "authority.pem"),
                dns=list(lab.plan.server(name).dns),
                handshake=self._patience(),
            )
            spec = self.server.spec
            tls = "none" if spec.tls is Tls.OFF else spec.tls.value
            await self.negotiate(tls=tls, authentication=spec.authentication.value)
        except BaseException:
            await self._close_agent()
            raise
        self._began = len(self._context.history.events)
        self._record(ServerStarted(at=time.time(), server=self.server.name))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self._settle()
        finally:
            self._record(ServerEnded(at=time.time(), server=self.server.name))
            await self._close_agent()

    # -- streams -------------------------------------------------------------------------------------------------

    async def negotiate(
        self,
        *,
        tls: str | None = None,
        authentication: str | None = None,
        certificate: Certificate | str | None = None,
        header: Mapping[str, str | None] | None = None,
        features: str | None = None,
        key: str | None = None,
        verifies: str | None = None,
        direction: str | None = None,
    ) -> None:
        """Negotiate new streams like this; None changes nothing. `direction` is "out" for those that the peer opens
        only, "in" for those that it accepts.

        `tls` is "required", "optional" (used where both have it) or "none". `authentication` is "external" (XEP-0178),
        "dialback" (XEP-0220), "either", or "none": a stream that the peer opens is left unauthenticated. At first both
        are as the topology has them. `certificate` is a kind of certificate, as in a topology. `header` sets attributes
        of the stream's header (RFC 6120 section 4.7), or leaves one out with None; `features` is XML that is offered
        instead of what follows from the rest, "" sets it back. `key="false"` sends dialback keys that the domain did
        not make; `verifies` is what the peer says of keys that it is asked about: the "truth", "valid", "invalid", or
        it keeps "silence". Returns once it holds. Raises UserError for a word that is none of these.
        """
        files = None if certificate is None else self._issue(certificate)
        await self._call("peer_negotiate", tls=tls, authentication=authentication, certificate=files,
                         header=None if header is None else dict(header), features=features, key=key,
                         verifies=verifies, direction=direction)  # fmt: skip
        if authentication is not None and direction != "in":
            self._proves = authentication != "none"

    async def open(self, to: ServerHandle, within: str | float | None = None) -> OpenedStream:
        """Open a stream to a server afresh, as is negotiated now, and return what became of it.

        With `authentication="none"` it is open once TLS is negotiated, for `raw`. A stream that is not open `within`
        that time (seconds, or a text such as "10s") is given up. Raises PeerError if there is no connection at all.
        """
        limit = self._patience() if within is None else read_duration(within)
        found = await self._call("peer_open", to=to.domain, within=limit, timeout=limit + PEER_TIMEOUT)
        return OpenedStream(**{name: value for name, value in found.items() if name != "stream"})

    # -- sending -------------------------------------------------------------------------------------------------

    async def send(self, xml: str) -> None:
        """Send one stanza (RFC 6120 section 8), as it is written, to the server of its `to` attribute.

        Returns once it is written to the stream, which is opened if there is none. Raises UserError if it is not one
        stanza, PeerError or TimedOut (30 seconds, more over slow links) if there is no stream and none can be opened.
        """
        check_text(xml, "send: the stanza")
        try:
            stanza = stanzas.parse(xml, time.time())
        except (ET.ParseError, ValueError) as error:
            raise UserError(f"not one well-formed stanza ({error}); raw() sends what is none") from error
        await self._announced([stanza], self._call("peer_send", xml=xml), _domain(stanza.receiver))

    async def _announced(self, found: Sequence[Stanza], writing: Awaitable[object], to: str) -> None:
        """Record stanzas as sent to the domain `to`, then await that they are written."""
        announced = [self._context.history.record(event) for event in map(self._sent, found) if event is not None]
        try:
            await writing
        except LabError as error:
            for event in announced:
                self._record(NotSent(at=time.time(), message=event.message, reason=str(error)))
            raise
        for one in found:
            self._record_seen("out", one, to)

    def _sent(self, stanza: Stanza) -> Sent | None:
        _, expected = self._participants.addressed(stanza.sender or self.domain, stanza)
        sent = stanzas.build_sent_event(stanza, self.domain, self.server.name, self._context.canary_in, expected)
        return replace(sent, expected=()) if sent is not None and sent.claimed else sent

    async def raw(self, to: ServerHandle, data: str) -> None:
        """Write bytes (UTF-8) on the stream to a server, whatever they are.

        Stanzas are recorded as those of `send` are, anything else as a note. Returns once they are written; the stream
        is opened if there is none. Raises PeerError or TimedOut as `send` does, UserError for half a surrogate pair,
        which UTF-8 cannot write.
        """
        check_raw(data, "raw: the text")
        found = self._raw[to.domain].add(data, time.time()) if self._proves else []
        if not self._proves:
            self._note(f"sent to {to.domain} on a stream that is not authenticated, where nothing counts: {data}")
        elif not found:
            self._note(f"sent to {to.domain} as it is, and not judged: {data}")
        await self._announced(found, self._call("peer_raw", to=to.domain, data=data), to.domain)

    async def ping(self, to: ServerHandle, within: str | float | None = None) -> float:
        """Ping a server (XEP-0199) and return the seconds until its answer. Both directions of the link then work.

        `within` is in seconds, or a text such as "10s". Raises TimedOut without an answer, and what `send` raises.
        """
        name, began = f"ping-{secrets.token_hex(4)}", time.monotonic()
        within = self._patience() if within is None else within
        await self.send(
            f"<iq type='get' id='{name}' from='{self.domain}' to='{to.domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
        )
        try:
            await self.expect(lambda one: one.id == name and one.type in ("result", "error"), within)
        except NotReceived as error:
            raise TimedOut(
                f"{to} did not answer a ping of {self.server} within {describe_duration(within)}", error.evidence
            ) from None
        return time.monotonic() - began

    # -- receiving -----------------------------------------------------------------------------------------------

    @property
    def stanzas(self) -> list[Stanza]:
        """The stanzas that it received (RFC 6120 section 8), in order: also those returned on a stream of its own."""
        return list(self._log.stanzas)

    async def received(self, match: Match, within: str | float | None = None) -> Stanza:
        """The first stanza that matches, whether it was received already or is in time.

        `match` is a function of the stanza, or a text in its XML, such as an id. `within` is in seconds, or a text such
        as "10s". Raises NotReceived, which fails a run, with the last stanzas that were received.
        """
        return await self._log.received(match, self._patience() if within is None else within)

    async def expect(self, match: Match, within: str | float | None = None) -> Stanza:
        """As `received`, but of those stanzas that it has not returned before: the next one to be answered.

        `within` is in seconds, or a text such as "10s". Raises NotReceived as `received` does.
        """
        within = self._patience() if within is None else within
        return await self._log.received(match, within, taken=self._returned)

    async def closed(self, to: ServerHandle, within: str | float | None = None) -> str:
        """Wait until the stream that we opened to a server has ended (RFC 6120 section 4.4), and return the reason.

        `within` is in seconds, or a text such as "10s". Raises TimedOut if the stream stays open.
        """
        within = self._patience() if within is None else within
        if await self._log.until(lambda: to.domain not in self._own_streams.values() or None, within):
            return next((reason for domain, reason in reversed(self._ends) if domain == to.domain), "there was none")
        raise TimedOut(f"the stream of {self.server} to {to} is still open after {within}")

    def accept(self, stanza: Stanza) -> None:
        """Count a message as delivered to the person it is addressed to: its outcome has the delivery from now on."""
        device = stanza.receiver or ""
        device = device if "/" in device else f"{device}/{self.server.name}"
        self._record(
            Delivered(
                at=time.time(), message=stanza.id or "", sender=stanza.sender or "", device=device,
                stream=self.server.name, via="live",
            )
        )  # fmt: skip
        if message := self._participants.find(stanza.id, stanza.sender or "", device):
            message.add_delivery(Delivery(device, "live", time.time(), stanza.body, "plain"))

    async def refuse(self, stanza: Stanza, condition: str, kind: str = "cancel") -> None:
        """Answer a stanza with a stanza error of this condition, such as "gone" (RFC 6120 section 8.3.3).

        `kind` is the error's type (section 8.3.2). Returns once it is written, and raises what `send` raises.
        """
        await self.send(stanza.error(condition, kind))

    def person(self, name: str) -> Person:
        """A person of this server, to whom others can write: without a device, the script handles their stanzas."""
        return Person(self._participants, self.server, jids.prepare_localpart(name))

    # -- misbehaviour --------------------------------------------------------------------------------------------

    async def behave(self, *, pings: bool | None = None, streams: str | None = None) -> None:
        """Answer pings (XEP-0199) or do not; None changes nothing. Returns once it holds for all that is received.

        With streams that another server opens: "answer" them, stay "silent", or "refuse" them (reset the connection).
        Raises UserError for another word.
        """
        await self._call("peer_behave", pings=pings, streams=streams)

    async def close(self, to: ServerHandle | None = None, *, condition: str = "", abort: bool = False) -> None:
        """End the streams with a server, or with all (RFC 6120 section 4.4).

        With `condition` by a stream error (section 4.9.3), with `abort` by resetting the connections. Returns once they
        have ended. New ones may follow.
        """
        await self._call("peer_close", domain=to.domain if to else None, condition=condition, abort=abort)

    # -- internal ------------------------------------------------------------------------------------------------

    def _issue(self, certificate: Certificate | str) -> list[str]:
        """Paths of another certificate of the lab's authority for this domain, and of its key."""
        from lab.network.authority import Authority

        try:
            kind = Certificate(certificate)
        except ValueError:
            raise UserError(f"certificate: {certificate!r} is unknown: use one of {', '.join(Certificate)}") from None
        layout = self._context.lab.layout
        folder = layout.server(self.server.name) / "certs" / kind.value
        request = replace(self._context.lab.plan.server(self.server.name).certificate, kind=kind)
        Authority.load(layout.authority).issue_pair(request, folder)
        if (owner := find_server_owner()) is not None:
            change_owner(folder, owner)
        return [str(folder / f"{a_labels(self.domain)}.{end}") for end in ("crt", "key")]

    async def _settle(self) -> None:
        """Send a marker behind what has not arrived of our messages: see lab.federation.markers."""
        await asyncio.gather(*(self._mark(*route, since) for route, since in self._missing().items()))

    def _missing(self) -> dict[tuple[str, str], int]:
        """(sender, receiving device) to the place of the first message of ours that has not arrived."""
        record = RunRecord(tuple(self._context.history.events), self._context.lab.plan)
        found: dict[tuple[str, str], int] = {}
        for place, sent in record.messages:
            if sent.stream != self.server.name or place < self._began or record.bounces.get(sent):
                continue
            got = {one.device for one in record.deliveries.get(sent, ())}
            for jid in sent.expected:
                if "/" in jid and jid not in got:
                    found.setdefault((sent.sender, jid), place)
        return found

    async def _mark(self, sender: str, receiver: str, since: int) -> None:
        to, history = _domain(receiver), self._context.history
        device = next(one for one in self._participants.devices.values() if one.jid == receiver)
        ended = any(
            isinstance(event, ServerStreamClosed) and (event.server, event.peer) == (self.server.name, to)
            for event in history.events[since:]
        )
        arrived = False
        if ended:
            detail = "the stream that was used has ended"
        elif not device.connected:
            detail = f"not connected at the end: {receiver}"
        else:
            try:
                arrived = await self._send_marker(sender, device)
                detail = "" if arrived else "not delivered before the deadline"
            except LabError as error:
                ended, detail = True, str(error)
        broken = ended or markers.ended_since(history, receiver, since)
        self._record(
            RouteSettled(
                at=time.time(), sender=sender, receiver=receiver, arrived=arrived, broken=broken, detail=detail
            )
        )  # fmt: skip

    async def _send_marker(self, sender: str, device: Device) -> bool:
        """Whether a marker to a device was delivered to it in time."""
        name = f"marker-{secrets.token_hex(6)}"
        xml = (
            f"<message type='chat' id='{name}' from={quoteattr(sender)} to={quoteattr(device.jid)}>"
            f"<body>{self._context.control}</body></message>"
        )
        sent = self._sent(stanzas.parse(xml, time.time()))
        assert sent is not None  # it is a message with a body
        self._record(replace(sent, marker=True))
        await self._call("peer_send", xml=xml)
        within = markers.MARKER_DEADLINE + self._context.largest_allowance(self.server.name)
        return await device.log.until(lambda: _received(device, name), within) is not None

    async def _call(self, operation: str, **fields: Any) -> dict[str, Any]:
        if self._agent is None:
            raise UserError(f"the peer {self.server} is not there: use it inside `async with`")
        fields.setdefault("timeout", REQUEST_TIMEOUT + self._context.largest_allowance(self.server.name))
        return await self._agent.call(operation, self.server.name, **fields)

    def _patience(self) -> float:
        """Seconds that are waited for what may have to pass the slowest link of this server."""
        return PEER_TIMEOUT + self._context.largest_allowance(self.server.name)

    async def _close_agent(self) -> None:
        if self._agent is not None:
            agent, self._agent = self._agent, None
            await agent.close()

    def _on_event(self, data: dict[str, Any]) -> None:
        if data["event"] == "peer_stanza":
            stanza = stanzas.parse(data["xml"], data["at"])
            self._record_seen("in", stanza, data["domain"])
            if stanza.name == "message" and stanza.type == "error":
                self._record(stanzas.build_bounced_event(stanza))
            if data["direction"] == "out":
                where = f"on the stream that {self.domain} opened, against its direction (RFC 6120 section 4.5)"
                self._note(f"{data['domain']} returned a {stanza.name} {where}: {stanza.xml}")
            self._log.add(stanza)
        elif data["event"] == "peer_dialback":
            given = ", ".join(f"{key} {data[key]}" for key in ("type", "from", "to", "id") if data[key])
            self._note(f"{data['domain']} sent <db:{data['name']}/> ({given})")
        elif data["event"] == "peer_stream":
            self._on_stream(data)
        else:
            self._note(str(data.get("message", data)))

    def _on_stream(self, data: dict[str, Any]) -> None:
        stream: dict[str, Any] = {
            "at": data["at"], "server": self.server.name, "stream": "s2s", "direction": data["direction"],
            "peer": data["domain"], "id": data["stream"], "tls": data["tls"], "authentication": data["authentication"],
        }  # fmt: skip
        name, domain, own = data["stream"], data["domain"], data["direction"] == "out"
        if data["state"] == "open":
            if data["authentication"]:
                self._record(ServerStreamOpened(**stream))
            else:
                self._note(f"a stream to {domain} is open and not authenticated ({data['tls'] or 'no TLS'})")
            if own:
                self._own_streams[name] = domain
        else:
            error = {"condition": data["condition"], "by": data["by"], "text": data["reason"]}
            self._record(ServerStreamClosed(**stream, **error))
            if own:
                self._own_streams.pop(name, None)
                self._raw.pop(domain, None)
                self._ends.append((domain, data["reason"]))
        self._log.changed()

    def _note(self, text: str) -> None:
        self._record(Note(at=time.time(), by=self.server.name, text=text))

    def _record(self, event: Event) -> None:
        self._context.history.record(event)

    def _record_seen(self, direction: str, stanza: Stanza, peer: str) -> None:
        if self.server.spec.feed is not Feed.OFF:
            whole = self.server.spec.feed is Feed.FULL
            self._record(stanzas.build_seen_event(stanza, self.server.name, direction, whole=whole, peer=peer))


def _received(device: Device, message: str) -> bool | None:
    return any(one.id == message and one.direction == "in" for one in device.log.stanzas) or None


def _domain(jid: str | None) -> str:
    """The domain part of a JID (RFC 7622 section 3.2)."""
    return (jid or "").partition("/")[0].rpartition("@")[2]
