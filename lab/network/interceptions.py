"""Which stanzas of which links and clients are handed to rules, and what the rules have done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from lab.declarations.effects import Interception
from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.network.interception import InterceptedConnection, KeptCounts, TlsEnds
from lab.network.link_shaper import LinkShaper
from lab.network.relay import Relay, RelayedConnection
from lab.network.stanza_rules import CountedRule, Direction, StanzaDecision, find_ends
from lab.network.stanza_stream import RelayedStanza
from lab.network.target import Target
from lab.plan.layout import Layout
from lab.plan.model import Plan, RelayPlan

log = logging.getLogger(__name__)

MOST_INTERVENTIONS = 10_000  # that are kept until somebody reads them
END_PATIENCE = 5.0  # seconds in which servers end streams that they were told have ended
POLL = 0.02  # seconds between two looks whether they have


@dataclass(frozen=True)
class Intervention:
    """A rule acted on a stanza."""

    number: int  # from 1
    at: float  # seconds since the epoch
    source: str  # a server's name, or a client's full JID
    target: str
    attack: str
    action: str
    name: str  # "message", "presence", "iq"
    id: str
    sender: str
    receiver: str
    stanza: str  # as it was received


class Interceptions:
    """The rules that act on the links of one lab."""

    def __init__(self, layout: Layout, plan: Plan, relays: Mapping[Direction, Relay]) -> None:
        self._layout, self._plan, self._relays = layout, plan, relays
        self._rules: dict[Direction, dict[str, list[CountedRule]]] = {}  # by token
        self._ends: dict[Direction, TlsEnds] = {}  # as they were read last
        self._log: deque[Intervention] = deque(maxlen=MOST_INTERVENTIONS)
        self._kept = KeptCounts()
        self._clients: dict[Direction, Relay] = {}  # of clients that were ever intercepted: full JID and server
        self._held: dict[object, list[Direction]] = {}  # directions of clients that a control connection has rules on
        self._news = asyncio.Event()
        self.last = 0  # number of the last intervention

    async def apply(self, effect: Interception, token: str) -> None:
        """Hand the stanzas of a direction to rules. Streams that are open are ended: only new ones can be read.

        Raises UserError where the certificates cannot be read.
        """
        direction = (effect.source, effect.target)
        relay = self._relays[direction]
        self._ends[direction] = self._load_ends(direction)
        rules = [CountedRule(rule, effect.attack) for rule in effect.rules]
        self._rules.setdefault(direction, {})[token] = rules
        relay.connect = self._connect
        closed = [one for one in relay.open if not isinstance(one, InterceptedConnection)]
        for one in closed:
            one.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_PATIENCE):
                while relay.open.intersection(closed):  # noqa: ASYNC110 - they end one by one, in seldom cases never
                    await asyncio.sleep(POLL)
        for one in relay.open.intersection(closed):
            one.reset()

    def _connect(self, relay: Relay) -> InterceptedConnection:
        """A new connection shows the certificates that the servers have by now: they may have changed since."""
        direction = (relay.plan.source, relay.plan.target)
        try:
            self._ends[direction] = self._load_ends(direction)
        except UserError as error:  # they are being written: the ones before hold
            log.info("%s", error)
        return InterceptedConnection(relay, self._ends[direction], self._rules_of, self._report, self._kept)

    def heal(self, effect: Interception, token: str) -> None:
        """End these rules; stanzas that are held are sent on. Streams that are open stay as they are."""
        direction = (effect.source, effect.target)
        relay, acting = self._relays[direction], self._rules.get(direction, {})
        acting.pop(token, None)
        if acting:
            return
        relay.connect = RelayedConnection
        for one in self._open(direction):
            one.release(one.near)

    # -- of clients ------------------------------------------------------------------------------------------------

    async def intercept_client(
        self, client: str, server: str, effects: Sequence[Interception], holder: object
    ) -> tuple[str, int]:
        """Hand the stanzas of a client to rules, on connections to the address and port that are returned.

        Raises UserError where the server's certificate cannot be read, MissingError if no port is free.
        """
        ends, direction = self._load_client_ends(server), (client, server)
        relay = self._clients.get(direction)
        if relay is None:
            there = self._plan.server(server)
            port = there.spec.manifest.ports.client
            relay = Relay(
                RelayPlan(client, server, 0, (there.address, port), Conditions()),
                self._plan.services, Target((there.address, port)), LinkShaper(Conditions()), LinkShaper(Conditions()),
            )  # fmt: skip
            relay.connect = self._connect
            await relay.listen()
            self._clients[direction] = relay
        self._ends[direction] = ends
        for effect in effects:
            rules = [CountedRule(rule, effect.attack) for rule in effect.rules]
            self._rules.setdefault((effect.source, effect.target), {})[str(id(holder))] = rules
        self._held.setdefault(holder, []).append(direction)
        return self._plan.services, relay.listener.port

    def release(self, holder: object) -> None:
        """End the rules for clients that this control connection holds. Streams stay, and can be resumed."""
        for client, server in self._held.pop(holder, ()):
            for direction in ((client, server), (server, client)):
                self._rules.get(direction, {}).pop(str(id(holder)), None)
            for one in tuple(self._clients[client, server].open):
                assert isinstance(one, InterceptedConnection)
                one.release(one.near)
                one.release(one.far)

    def close(self) -> None:
        """Close the ports for clients, and what is connected there."""
        for relay in self._clients.values():
            relay.close()

    def _load_client_ends(self, server: str) -> TlsEnds:
        """What a server's clients are shown: its certificate."""
        domain = self._plan.server(server).certificate.domain
        try:
            return TlsEnds.load(None, self._layout.server(server) / "certs" / f"{domain}.crt", domain)
        except OSError as error:
            raise UserError(
                f"stanzas of clients of {server} cannot be read: the lab's service has no certificate and key of it "
                f"({error.strerror or error})"
            ) from None

    # -- what is done ----------------------------------------------------------------------------------------------

    def send(self, direction: Direction, stanza: str, attack: str) -> None:
        """Send a stanza of the attacker's own. Raises UserError without an intercepted stream, or if it is no XML."""
        ready = [one for one in self._open(direction) if one.ready] if direction in self._relays else []
        if not ready:
            raise UserError(f"there is no intercepted stream from {direction[0]} to {direction[1]} that is open")
        try:
            parsed = RelayedStanza(ready[-1].near.splitter.header, stanza.encode())
            found = parsed.elements[0]
        except (expat.ExpatError, IndexError) as error:
            raise UserError(f"this is no stanza: {error}") from None
        if found.end != len(parsed.raw):
            raise UserError("this is more than one stanza")
        ready[-1].send(parsed.raw)
        self._add(direction, parsed, attack, "send")

    async def wait_interventions(self, since: int, wait: float) -> list[Intervention]:
        """Those after number `since`, oldest first; waits at most `wait` seconds for one."""
        if self.last <= since and wait > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), wait)
        return [one for one in self._log if one.number > since]

    def _open(self, direction: Direction) -> list[InterceptedConnection]:
        return [one for one in self._relays[direction].open if isinstance(one, InterceptedConnection)]

    def _rules_of(self, direction: Direction) -> Iterator[CountedRule]:
        for rules in list(self._rules.get(direction, {}).values()):
            yield from rules

    def _report(self, direction: Direction, stanza: RelayedStanza, decision: StanzaDecision) -> None:
        for one in decision.acted:
            self._add(direction, stanza, one.attack, one.rule.action)

    def _add(self, direction: Direction, stanza: RelayedStanza, attack: str, action: str) -> None:
        self.last += 1
        sender, receiver = find_ends(direction, stanza)
        self._log.append(
            Intervention(
                number=self.last,
                at=time.time(),
                source=direction[0],
                target=direction[1],
                attack=attack,
                action=action,
                name=stanza.elements[0].name,
                id=stanza.attribute("id"),
                sender=sender,
                receiver=receiver,
                stanza=stanza.raw.decode("utf-8", "replace"),
            )
        )
        self._news.set()

    def _load_ends(self, direction: Direction) -> TlsEnds:
        """What each side is shown: the other's certificate."""
        if direction in self._clients:
            return self._load_client_ends(direction[1])
        domains = [self._plan.server(name).certificate.domain for name in direction]
        caller, server = (
            self._layout.server(name) / "certs" / f"{domain}.crt"
            for name, domain in zip(direction, domains, strict=True)
        )
        try:
            return TlsEnds.load(caller, server, domains[1])
        except OSError as error:
            raise UserError(
                f"stanzas from {direction[0]} to {direction[1]} cannot be read: the lab's service has no certificate "
                f"and key of both servers ({error.strerror or error})"
            ) from None
