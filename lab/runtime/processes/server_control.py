"""Changes what a server's process does, by way of the lab's service, whose child it is."""

from __future__ import annotations

from typing import Any

from lab.network.control import Control
from lab.network.ready_file import ReadyFile
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.servers.conventions import READY


class RemoteProcessControl:
    """A `ServerControl` of a lab of processes."""

    def __init__(self, layout: Layout, plan: Plan) -> None:
        self._layout, self._plan = layout, plan

    async def runs(self, server: str) -> bool:
        """Whether its process runs."""
        state = (await self._call("status"))["servers"].get(server)
        return bool(state and state["running"])

    async def end(self, server: str, *, at_once: bool) -> None:
        """SIGTERM and, after a while, SIGKILL; or SIGKILL at once."""
        await self._call("stop", server=server, at_once=at_once)

    async def start(self, server: str) -> None:
        """Start it and wait until it accepts streams."""
        ready = ReadyFile.from_now(self._plan.server(server), self._layout.server(server) / READY)
        await self._call("spawn", server=server)
        await ready.wait_started(lambda: self.runs(server))

    async def pause(self, server: str) -> None:
        """SIGSTOP."""
        await self._call("signal", server=server, signal="SIGSTOP")

    async def resume(self, server: str) -> None:
        """SIGCONT."""
        await self._call("signal", server=server, signal="SIGCONT")

    async def _call(self, operation: str, **fields: Any) -> dict[str, Any]:
        async with Control(self._layout.control) as control:
            return await control.call(operation, **fields)
