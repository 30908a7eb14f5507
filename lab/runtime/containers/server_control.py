"""Changes what a server's container does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.errors import PeerError, UserError
from lab.network.ready_file import ReadyFile
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.containers.engine import DockerEngine, build_name
from lab.servers.conventions import READY

STOP_PATIENCE = 3  # seconds between SIGTERM and SIGKILL, as with processes


class ContainerControl:
    """A `ServerControl` of a lab of containers."""

    def __init__(self, engine: DockerEngine, layout: Layout, plan: Plan) -> None:
        self._engine, self._layout, self._plan = engine, layout, plan

    async def runs(self, server: str) -> bool:
        """Whether its container runs, also while it is paused."""
        return bool((await self._state(server))["Running"])

    async def end(self, server: str, *, at_once: bool) -> None:
        """SIGTERM and, after a while, SIGKILL; or SIGKILL at once."""
        if (await self._state(server))["Paused"]:
            await self._call(self._engine.client.api.unpause, server)
        if at_once:
            await self._call(self._engine.client.api.kill, server)
            await self._call(self._engine.client.api.wait, server)
        else:
            await self._call(self._engine.client.api.stop, server, timeout=STOP_PATIENCE)

    async def start(self, server: str) -> None:
        """Start it and wait until it accepts streams."""
        ready = ReadyFile.from_now(self._plan.server(server), self._layout.server(server) / READY)
        if (await self._state(server))["Running"]:
            raise UserError(f"server {server} runs already")
        await self._call(self._engine.client.api.start, server)
        await ready.wait_started(lambda: self.runs(server))

    async def pause(self, server: str) -> None:
        """The engine freezes every process of it."""
        if not (await self._state(server))["Paused"]:
            await self._call(self._engine.client.api.pause, server)

    async def resume(self, server: str) -> None:
        """They go on."""
        if (await self._state(server))["Paused"]:
            await self._call(self._engine.client.api.unpause, server)

    async def _state(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self._call(self._engine.client.api.inspect_container, server))["State"]
        return found

    async def _call(self, function: Callable[..., Any], server: str, **options: Any) -> Any:
        from docker.errors import APIError, NotFound

        try:
            return await self._engine.call(function, build_name(self._layout, server), **options)
        except NotFound as error:
            raise UserError(f"no server {server!r} is a container of this lab") from error
        except APIError as error:
            raise PeerError(f"the engine does not change {server}: {error.explanation}") from error
