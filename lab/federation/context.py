"""What the parts of a running federation share: the lab, the history, the agent, the texts that are searched for."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.clients.remote import Agent
from lab.declarations import units
from lab.errors import PeerError, UserError
from lab.federation.outcomes import Delivers, Promise, Refuses
from lab.federation.server_changes import ServerChanges
from lab.federation.user_names import keep_name
from lab.history.recorder import Recorder
from lab.lifecycle.faults import FaultSession
from lab.lifecycle.lab import Lab
from lab.servers import get_software
from lab.topology.allowance import largest_allowance, route_allowance
from lab.topology.spec import Placement, Unlinked

Json = dict[str, Any]


class Context:
    """One running federation, as its servers, people, rooms and peers see it. It knows none of them."""

    def __init__(self, lab: Lab, history: Recorder, *, inline: bool = False) -> None:
        self.lab = lab
        self.history = history
        self.canaries: list[str] = []
        # Markers carry this text unencrypted: a search that does not find it where it must be has searched nothing.
        self.control = f"control-{secrets.token_hex(12)}"
        self.on_event: Callable[[Json], None] | None = None  # called with each event of the devices
        self.faults: dict[str, FaultSession] = {}  # of injected faults, by their tokens
        self.changes = ServerChanges(lab.layout)
        self.accounts: list[tuple[str, str]] = []  # that were begun and not deleted: server and user by name
        self._inline = inline
        self._agents: dict[str, Agent] = {}  # by whose devices they have: a bare JID, "" for everybody's
        self._starting: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # requests may come at once

    def promise(self, source: str, target: str) -> Promise:
        """What becomes of a message from a person on server `source` to one on server `target`, both by name."""
        plan, link = self.lab.plan, self.lab.plan.topology.link(source, target)
        spec = plan.server(source).spec
        known = get_software(spec.software)
        if (source, plan.server(target).spec.domain) in self.changes.refused:
            refusal = known.refusal(spec.version, Unlinked.NOT_ALLOWED)
            return Refuses(refusal.conditions, refusal.within)
        if (target, spec.domain) in self.changes.refused:
            refusal = known.refused_stream(spec.version)
            return Refuses(refusal.conditions, refusal.within)
        if source == target or (link and link.comes_up):
            return Delivers()
        refusal = known.refused_stream(spec.version) if link else known.refusal(spec.version, plan.topology.unlinked)
        return Refuses(refusal.conditions, refusal.within)

    def allowance(self, *servers: str) -> float:
        """Seconds more than on fast links that a stanza and its answer may need between servers, by name."""
        return route_allowance(self.lab.plan.topology, *servers)

    def largest_allowance(self, server: str) -> float:
        """The same for the slowest link of a server."""
        return largest_allowance(self.lab.plan.topology, server)

    def new_canary(self) -> str:
        """A text that is searched for on every server when the scenario is over."""
        canary = f"canary-{secrets.token_hex(12)}"
        self.canaries.append(canary)
        return canary

    def canary_in(self, text: str) -> str | None:
        """The canary that a text contains."""
        return next((one for one in self.canaries if one in text), None)

    async def call(self, operation: str, device: str, /, **fields: Any) -> Json:
        """Call an operation of a device, by its key, and return its answer; see lab.clients.protocol.

        Raises PeerError, TimedOut, UserError.
        """
        alone = self.lab.plan.topology.placement is Placement.EACH
        whose = device.partition("/")[0] if alone else ""
        async with self._starting[whose]:
            if whose not in self._agents:
                folder = self._provide_folder(whose) if alone else None
                self._agents[whose] = await self.start_agent(self.on_event, own_address=alone, folder=folder)
            agent = self._agents[whose]
        return await agent.call(operation, device or None, **fields)

    def _provide_folder(self, person: str) -> Path:
        """Where the devices of a person keep keys and trust, by the bare JID of their keys; it exists then."""
        user, _, domain = person.rpartition("@")
        server = next(one.spec for one in self.lab.plan.servers if one.spec.domain == domain)
        keep_name(self.lab.layout, server, user)
        return self.lab.layout.person(server.name, user)

    async def call_without_keys(self, operation: str, device: str, /, **fields: Any) -> Json:
        """As `call`, for who has no folder for keys yet: a person's own agent could not be given it later."""
        if self.lab.plan.topology.placement is not Placement.EACH:
            return await self.call(operation, device, **fields)
        agent = await self.start_agent(self.on_event, own_address=True)
        try:
            return await agent.call(operation, device, **fields)
        finally:
            await agent.close()

    async def start_agent(
        self,
        on_event: Callable[[Json], None] | None,
        *,
        server: str | None = None,
        own_address: bool = False,
        folder: Path | None = None,
    ) -> Agent:
        """A further agent of the lab's, in the place of a scripted server if one is named; see `Runtime.start_agent`.

        Raises UserError, PeerError.
        """
        if self._inline and self.lab.runtime.name != "processes":
            raise UserError("devices inside the script need the processes runtime: use --runtime processes")
        if self._inline and own_address:
            raise UserError("devices inside the script are together: use `placement: together`, or start agents")
        agent = Agent.inline() if self._inline else await self._piped_agent(server, own_address, folder)
        agent.on_event = on_event
        answer = await agent.call("hello")
        if answer.get("protocol") != 1:
            raise PeerError(f"the agent speaks protocol {answer.get('protocol')!r}, not 1: use one of this version")
        return agent

    async def _piped_agent(self, server: str | None, own_address: bool, folder: Path | None) -> Agent:
        pipes = await self.lab.start_agent(server=server, own_address=own_address, folder=folder)
        return Agent(pipes.reader, pipes.writer, close=pipes.close)

    async def close(self) -> None:
        """Disconnect every device and end the agents."""
        agents, self._agents = self._agents, {}
        async with asyncio.TaskGroup() as group:
            for agent in agents.values():
                group.create_task(agent.close())


def read_duration(duration: str | float) -> float:
    """A duration in seconds: of a number of seconds, or of a text such as "60s" or "500ms". Raises UserError."""
    return float(duration) if isinstance(duration, int | float) else units.parse_duration(duration)


def describe_duration(duration: str | float) -> str:
    """A duration as a text in seconds, such as "60 s". Raises UserError."""
    return f"{read_duration(duration):g} s"
