"""What the lab's service does for faults: relays, the name server, and with `processes` the servers."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from lab.declarations.effects import Effect, Interception, LinkImpairment, NameAnswer, ServerOutage, StreamsEnd
from lab.errors import UserError
from lab.network.dns import Resolver
from lab.network.impairments import LinkImpairments
from lab.network.interceptions import Interceptions
from lab.network.packet_losses import PacketLosses
from lab.network.ready_file import ReadyFile
from lab.network.relay import Cut, Relay
from lab.network.server_outages import ServerOutages
from lab.network.server_processes import ServerProcesses
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.servers.conventions import READY


@dataclass(frozen=True)
class ProcessControl:
    """Servers that are child processes of the service."""

    layout: Layout
    plan: Plan
    servers: ServerProcesses

    async def runs(self, server: str) -> bool:
        """Whether its process runs."""
        return self.servers.runs(server)

    async def end(self, server: str, *, at_once: bool) -> None:
        """SIGTERM and, after a while, SIGKILL; or SIGKILL at once."""
        await self.servers.stop(server, at_once=at_once)

    async def start(self, server: str) -> None:
        """Start it and wait until it accepts streams."""
        ready = ReadyFile.from_now(self.plan.server(server), self.layout.server(server) / READY)
        self.servers.spawn(server)
        await ready.wait_started(lambda: self.runs(server))

    async def pause(self, server: str) -> None:
        """SIGSTOP."""
        self.servers.signal(server, signal.SIGSTOP)

    async def resume(self, server: str) -> None:
        """SIGCONT."""
        self.servers.signal(server, signal.SIGCONT)


class ServiceExecutor:
    """Carries effects out on the parts of the service."""

    def __init__(
        self,
        links: Mapping[tuple[str, str], LinkImpairments],
        relays: Mapping[tuple[str, str], Relay],
        interceptions: Interceptions,
        resolver: Resolver,
        outages: ServerOutages | None,
        losses: PacketLosses | None,
    ) -> None:
        """Without `outages` and `losses` servers and their packets are not the service's: they are in containers."""
        self._links, self._relays, self._resolver, self._outages = links, relays, resolver, outages
        self._interceptions, self._losses = interceptions, losses

    async def apply(self, effect: Effect, token: str) -> None:
        """Carry it out."""
        match effect:
            case LinkImpairment(source, target, changes, cut, loss):
                await self._links[source, target].impair(token, changes, None if cut is None else Cut(cut))
                if loss:
                    if self._losses is None:
                        raise UserError("packets of servers in containers cannot be dropped")
                    await self._losses.apply((source, target), token, loss)
            case Interception():
                await self._interceptions.apply(effect, token)
            case StreamsEnd(source, target, how):
                self._relays[source, target].end_all(reset=how == "reset")
            case NameAnswer():
                self._resolver.faults[token, effect.asker, effect.target] = effect
            case ServerOutage():
                await self._servers().apply(effect, token)

    async def heal(self, effect: Effect, token: str) -> None:
        """End it."""
        match effect:
            case LinkImpairment(source, target):
                await self._links[source, target].restore(token)
                if self._losses is not None:
                    await self._losses.heal((source, target), token)
            case Interception():
                self._interceptions.heal(effect, token)
            case NameAnswer():
                self._resolver.faults.pop((token, effect.asker, effect.target), None)
            case ServerOutage():
                await self._servers().heal(effect, token)

    def _servers(self) -> ServerOutages:
        if self._outages is None:
            raise UserError("the servers of this lab are containers: the process that holds the lab changes them")
        return self._outages
