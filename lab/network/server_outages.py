"""Servers that faults stop, kill, pause or restart, on whatever runs them.

Several faults may hold one server down or paused: it runs again once the last of them is healed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Protocol

from lab.declarations.effects import ServerChange, ServerOutage
from lab.errors import UserError

_DOWN = (ServerChange.STOP, ServerChange.KILL)


class ServerControl(Protocol):
    """Changes what a server's process does. Each raises UserError for a server that is not the lab's to change."""

    async def runs(self, server: str) -> bool:
        """Whether it runs; also while it is paused."""

    async def end(self, server: str, *, at_once: bool) -> None:
        """End it in order, or at once; returns once it has ended."""

    async def start(self, server: str) -> None:
        """Start it; returns once it accepts streams. Raises NotReady."""

    async def pause(self, server: str) -> None:
        """Let it do nothing; its connections stay."""

    async def resume(self, server: str) -> None:
        """Let it go on."""


class ServerOutages:
    """Which faults hold which servers, and what that means for their processes."""

    def __init__(self, control: ServerControl) -> None:
        self._control = control
        self._holds: dict[str, dict[str, ServerChange]] = defaultdict(dict)  # by server, then by token
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def apply(self, outage: ServerOutage, token: str) -> None:
        """Change the server; for a restart this returns once it accepts streams. Raises UserError, NotReady."""
        server, control = outage.server, self._control
        async with self._locks[server]:
            down = not await control.runs(server)
            if outage.change is ServerChange.RESTART:
                if down:
                    raise UserError(f"{server} does not run: it cannot be restarted")
                await control.end(server, at_once=False)
                await control.start(server)
                await self._pause_again(server)
                return
            if down and not self._is_down(server):
                raise UserError(f"{server} does not run: `xmpplab start {server}` starts it")
            self._holds[server][token] = outage.change
            if down:
                return
            if outage.change is ServerChange.PAUSE:
                await control.pause(server)
            else:
                await control.end(server, at_once=outage.change is ServerChange.KILL)

    async def heal(self, outage: ServerOutage, token: str) -> None:
        """Undo it, unless another fault holds the server too. Raises NotReady."""
        server, control = outage.server, self._control
        async with self._locks[server]:
            change = self._holds[server].pop(token, None)
            if change is None or self._is_down(server):
                return
            if change in _DOWN:
                if not await control.runs(server):  # a person may have started it
                    await control.start(server)
                    await self._pause_again(server)
            elif not self._holds[server] and await control.runs(server):
                await control.resume(server)

    def _is_down(self, server: str) -> bool:
        return any(change in _DOWN for change in self._holds[server].values())

    async def _pause_again(self, server: str) -> None:
        if self._holds[server]:
            await self._control.pause(server)
