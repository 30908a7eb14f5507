"""What one server has reported of itself: that it accepts streams, and which neighbours have answered its ping."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import NotReady
from lab.plan.model import ServerPlan

CHECK = 0.5  # seconds that a connection to a server may need
POLL = 0.03  # seconds between two reads of the file
PATIENCE = 120.0  # seconds until a server that was started again accepts streams: a slow ejabberd needs 10


@dataclass
class ReadyFile:
    """The READY file of one server, and what was read of it until now."""

    plan: ServerPlan
    path: Path
    offset: int = 0
    started: bool = False
    probed: set[str] = field(default_factory=set)

    @classmethod
    def from_now(cls, plan: ServerPlan, path: Path) -> ReadyFile:
        """What the server has reported already does not count."""
        return cls(plan, path, path.stat().st_size if path.exists() else 0)

    def read(self) -> None:
        """Read the new lines of the READY file: complete lines only."""
        try:
            if self.path.stat().st_size <= self.offset:
                return
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            entry = json.loads(line)
            self.started = True
            if domain := entry.get("probed"):
                self.probed.add(domain)

    async def wait_started(self, runs: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
        """Return once the server accepts streams. Raises NotReady if it has ended, or after `patience` seconds."""
        name, deadline = self.plan.spec.name, time.monotonic() + patience
        next_check = time.monotonic() + CHECK
        while True:
            self.read()
            if self.started or (not self.plan.spec.manifest.instrumented and await accepts(self.plan)):
                return
            if time.monotonic() >= next_check:
                if not await runs():
                    raise NotReady(f"{name} has ended before it accepted streams: see `xmpplab logs {name}`")
                next_check = time.monotonic() + CHECK
            if time.monotonic() >= deadline:
                raise NotReady(f"{name} does not accept streams {patience:.0f} s after its start")
            await asyncio.sleep(POLL)


def server_endpoint(server: ServerPlan) -> tuple[str, int]:
    """Where a server accepts streams of other servers."""
    if not server.spec.address:
        return server.address, server.spec.manifest.ports.server
    host, _, port = server.spec.address.rpartition(":")
    return host, int(port)


async def accepts(server: ServerPlan) -> bool:
    """Whether a server accepts a connection where other servers connect."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(*server_endpoint(server)), CHECK)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
