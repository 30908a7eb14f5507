"""Devices in a test, and all that they have said."""

import asyncio
from contextlib import asynccontextmanager
from typing import Any

from lab.clients.remote import Agent

#: Seconds until what should have happened on loopback has not.
PATIENCE = 60.0


class Cast:
    """Devices behind one agent; events are kept in order."""

    def __init__(self, agent: Agent, running_lab: Any) -> None:
        self.agent, self.running_lab = agent, running_lab
        self.events: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        agent.on_event = self._take

    def _take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self._changed.set()

    async def connect(self, device: str, jid: str, **fields: Any) -> dict[str, Any]:
        """Log a device in; its resource is its name."""
        login = {**self.running_lab.login(jid), "resource": device, "timeout": PATIENCE, **fields}
        return await self.agent.call("connect", device, **login)

    async def ask(self, op: str, device: str, **fields: Any) -> dict[str, Any]:
        return await self.agent.call(op, device, **fields)

    async def send(self, device: str, to: str, body: str, message: str, **fields: Any) -> dict[str, Any]:
        return await self.agent.call("send", device, to=to, body=body, message=message, **fields)

    def said(self, event: str, device: str | None = None, **match: Any) -> list[dict[str, Any]]:
        """Events of this kind until now whose fields are these."""
        wanted = {"event": event, **({} if device is None else {"device": device}), **match}
        return [each for each in self.events if wanted.items() <= each.items()]

    async def hears(self, event: str, device: str, **match: Any) -> dict[str, Any]:
        """The first such event, past or to come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := self.said(event, device, **match)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{device} never told {event} {match}; all events: {self.events}") from None
        return found[0]


@asynccontextmanager
async def inline(running_lab: Any):
    """A cast in this process."""
    cast = Cast(Agent.inline(), running_lab)
    try:
        yield cast
    finally:
        await cast.agent.close()
